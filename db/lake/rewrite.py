"""The SQL of a condition, written anew for another engine: from its syntax tree, node by node.

Each kind of node that has a known meaning on all engines has a function here. Any other is an error that names the
condition and the node, so that no rule is passed over in silence.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import sqlglot
from sqlglot import exp

from db.lake.dialects import EARLIEST, LATEST, Dialect, LakeCompileError

_INFINITE: Final = {"infinity": LATEST, "-infinity": EARLIEST}
_EARLIEST: Final = "MIN(n.instant)"
_EARLIEST_WEEK: Final = f"CAST(DATE_TRUNC('WEEK', {_EARLIEST} AT TIME ZONE 'UTC') AS DATE)"
_INFIX: Final = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "AND",
    exp.Or: "OR",
}


class Rewriter:
    """The writer of one condition's SQL for an engine. `columns` lists the columns of each name of a table."""

    def __init__(self, code: str, dialect: Dialect, columns: Mapping[str, frozenset[str]]) -> None:
        self._code, self._dialect, self._columns = code, dialect, columns

    def rewrite(self, sql: str) -> str:
        """Write the SQL of a condition, which is PostgreSQL's, for the engine. Raises LakeCompileError."""
        try:
            tree = sqlglot.parse_one(f"({sql})", read="postgres")
        except sqlglot.ParseError:
            raise LakeCompileError(f"{self._code}: the SQL cannot be parsed: {sql}") from None
        return self._write(tree)

    def _write(self, node: Any) -> str:
        """Write a node of a condition's syntax tree."""
        if type(node) in _INFIX:
            if isinstance(node, exp.EQ) and isinstance(node.expression, exp.Any):
                return self._write_any(node)
            return f"({self._write(node.this)} {_INFIX[type(node)]} {self._write(node.expression)})"
        write = _NODES.get(type(node))
        if write is None:
            raise self._unknown(node)
        return write(self, node)

    def _unknown(self, node: exp.Expression) -> LakeCompileError:
        """Return the error that a node of a condition has no known meaning on the engine."""
        name = type(node).__name__
        return LakeCompileError(
            f"{self._code}: the SQL contains {name}, which cannot be translated for {self._dialect.name}:"
            f" {node.sql('postgres')}"
        )

    def _expect(self, node: exp.Expression, *allowed: str) -> None:
        """Refuse a node of a condition that says more than its function reads."""
        if any(value for name, value in node.args.items() if name not in allowed):
            raise self._unknown(node)

    def _write_paren(self, node: exp.Expression) -> str:
        """Write what stands in parentheses, or a sub-select."""
        self._expect(node, "this")
        return self._write(node.this)

    def _write_not(self, node: exp.Not) -> str:
        """Write a negation."""
        return f"(NOT {self._write(node.this)})"

    def _write_is(self, node: exp.Is) -> str:
        """Write a comparison with NULL."""
        if not isinstance(node.expression, exp.Null):
            raise self._unknown(node)
        return f"({self._write(node.this)} IS NULL)"

    def _write_null(self, _: exp.Null) -> str:
        """Write an unknown truth value."""
        return "CAST(NULL AS BOOLEAN)"

    def _write_boolean(self, node: exp.Boolean) -> str:
        """Write a truth value."""
        return "TRUE" if node.this else "FALSE"

    def _write_literal(self, node: exp.Literal) -> str:
        """Write a text, or a whole number."""
        try:
            return self._dialect.literal(node.this) if node.is_string else str(int(node.this))
        except ValueError:
            raise self._unknown(node) from None

    def _write_column(self, node: exp.Column) -> str:
        """Write a column of a lake."""
        if node.name not in self._columns.get(node.table, frozenset()):
            raise LakeCompileError(f"{self._code}: a lake has no column {node.sql('postgres')}")
        return f"{node.table}.{self._dialect.quoted(node.name)}"

    def _write_in(self, node: exp.In) -> str:
        """Write whether a value is one of some texts; no text at all is FALSE, even for NULL."""
        self._expect(node, "this", "expressions")
        return self._one_of(node.this, node.expressions, node)

    def _write_any(self, node: exp.EQ) -> str:
        """Write whether a value is one of an array of texts."""
        arrays = list(node.expression.find_all(exp.Array))
        types = {exp.Any, exp.Paren, exp.Cast, exp.Array, exp.DataType, exp.Literal}
        if len(arrays) != 1 or any(type(each) not in types for each in node.expression.walk()):
            raise self._unknown(node)
        return self._one_of(node.this, arrays[0].expressions, node)

    def _one_of(self, value: exp.Expression, texts: list[Any], node: exp.Expression) -> str:
        """Write whether a value is one of some texts."""
        if not all(isinstance(text, exp.Literal) for text in texts):
            raise self._unknown(node)
        return f"({self._write(value)} IN ({', '.join(map(self._write, texts))}))" if texts else "FALSE"

    def _write_cast(self, node: exp.Cast) -> str:
        """Write an instant, a truth value as 0 or 1, or the week of an instant."""
        wanted = node.to.sql("postgres")
        if wanted == "TIMESTAMPTZ" and isinstance(node.this, exp.Literal):
            text = node.this.this
            return self._dialect.instant_literal(_INFINITE[text] if text in _INFINITE else datetime.fromisoformat(text))
        if wanted == "INT":
            return f"CAST({self._write(node.this)} AS INT)"
        if wanted == "DATE" and isinstance(node.this, exp.TimestampTrunc):
            return self._write_week(node.this)
        raise self._unknown(node)

    def _write_week(self, node: exp.TimestampTrunc) -> str:
        """Write the Monday of an instant's week in UTC."""
        zoned = node.this
        if node.unit.name != "WEEK" or not isinstance(zoned, exp.AtTimeZone) or zoned.args["zone"].name != "UTC":
            raise self._unknown(node)
        return self._dialect.week.format(self._write(zoned.this))

    def _write_case(self, node: exp.Case) -> str:
        """Write a choice by conditions."""
        self._expect(node, "ifs", "default")
        cases = "".join(
            f" WHEN {self._write(each.this)} THEN {self._write(each.args['true'])}" for each in node.args["ifs"]
        )
        otherwise = node.args.get("default")
        return f"CASE{cases}{f' ELSE {self._write(otherwise)}' if otherwise else ''} END"

    def _write_greatest(self, node: exp.Greatest) -> str:
        """Write the greatest of some values, NULL left out, as all engines here do."""
        return f"greatest({', '.join(map(self._write, (node.this, *node.expressions)))})"

    def _write_concatenation(self, node: exp.DPipe) -> str:
        """Write two values after each other as a text; NULL if one is."""
        text = self._dialect.text
        return f"(CAST({self._write(node.this)} AS {text}) || CAST({self._write(node.expression)} AS {text}))"

    def _write_covers(self, node: exp.ArrayContainsAll) -> str:
        """Write whether ranges of time have an instant."""
        if node.this.sql() != "s.compromised":
            raise self._unknown(node)
        return self._dialect.covers.format(self._write(node.this), self._write(node.expression))

    def _write_contains(self, node: exp.JSONBContainsTopKey) -> str:
        """Write whether the campaigns that told of a use have one."""
        return self._dialect.contains.format(self._told(node), self._write(node.expression))

    def _write_overlaps(self, node: exp.JSONBContainsAnyTopKeys) -> str:
        """Write whether the campaigns that told of a use have one of a list."""
        return self._dialect.overlaps.format(self._told(node), self._write(node.expression))

    def _told(self, node: exp.Expression) -> str:
        """Write the campaigns that told of an item's use."""
        if node.this.sql() != "told.epochs":
            raise self._unknown(node)
        return f"coalesce({self._write(node.this)}, {self._dialect.empty_list})"

    def _write_slice(self, node: exp.Bracket) -> str:
        """Write as many values of a list as a second one has instants that are due."""
        (part,) = node.expressions
        count = part.expression if isinstance(part, exp.Slice) and part.this and part.this.sql() == "1" else None
        if not isinstance(count, exp.WidthBucket):
            raise self._unknown(node)
        self._expect(count, "this", "threshold")
        due, now = count.args["threshold"], count.this
        return self._dialect.first_due.format(*map(self._write, (node.this, due, now)))

    def _write_select(self, node: exp.Select) -> str:
        """Write the earliest instant of a list whose campaign told of an item's use."""
        listed = node.find(exp.Unnest)
        if listed is None or len(listed.expressions) != 2:
            raise self._unknown(node)
        epochs, instants = listed.expressions
        known = f"FROM UNNEST({epochs.sql()}, {instants.sql()}) AS n(epoch, instant) WHERE told.epochs ? n.epoch"
        stated = [value.sql("postgres") for value in node.expressions]
        if stated not in ([_EARLIEST], [_EARLIEST_WEEK]) or node.sql("postgres") != f"SELECT {stated[0]} {known}":
            raise self._unknown(node)
        told = f"coalesce({self._write(exp.column('epochs', 'told'))}, {self._dialect.empty_list})"
        earliest = self._dialect.earliest_of.format(told, self._write(instants), self._write(epochs))
        return earliest if stated == [_EARLIEST] else self._dialect.week.format(earliest)


_NODES: Final[dict[type[Any], Callable[[Rewriter, Any], str]]] = {
    exp.Paren: Rewriter._write_paren,
    exp.Subquery: Rewriter._write_paren,
    exp.Not: Rewriter._write_not,
    exp.Is: Rewriter._write_is,
    exp.Null: Rewriter._write_null,
    exp.Boolean: Rewriter._write_boolean,
    exp.Literal: Rewriter._write_literal,
    exp.Column: Rewriter._write_column,
    exp.In: Rewriter._write_in,
    exp.Cast: Rewriter._write_cast,
    exp.Case: Rewriter._write_case,
    exp.Greatest: Rewriter._write_greatest,
    exp.DPipe: Rewriter._write_concatenation,
    exp.ArrayContainsAll: Rewriter._write_covers,
    exp.JSONBContainsTopKey: Rewriter._write_contains,
    exp.JSONBContainsAnyTopKeys: Rewriter._write_overlaps,
    exp.Bracket: Rewriter._write_slice,
    exp.Select: Rewriter._write_select,
}
"""The supported kinds of syntax nodes, each with the function that writes its SQL."""
