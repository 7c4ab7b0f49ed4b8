"""Compile a policy to the SQL of decisions on a lake: the conditions of the catalogue, for another engine."""

from collections.abc import Mapping
from typing import Final

from db.lake.dialects import DIALECTS, Dialect, DialectName, LakeCompileError
from db.lake.facts import FACTS
from db.lake.rewrite import Rewriter
from db.lake.snapshot import Snapshot
from db.policy.compile import evidence_columns, evidence_fact, ground_expression, judged_conditions
from db.policy.condition import MAX_FAMILY_REFERENCES, Condition, Referenced, Since
from db.policy.conditions import CONDITIONS, IS_PUBLIC, IS_TOP, MAX_PARENTS

_COLUMNS: Final = {facts.name: facts.names() for facts in FACTS}
_ITEM_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "c": _COLUMNS["content"],
    "s": _COLUMNS["account_standing"],
    "f": _COLUMNS["family"],
    "parents": frozenset({"are_public"}),
    "told": frozenset({"epochs"}),
}
_REFERENCED_TABLES: Final = {"o": _COLUMNS["account_standing"] & _COLUMNS["referenced_contact"]}
_MEMBER_TABLES: Final = {"a": _COLUMNS["content"]}


class LakeCompiler:
    """The compiler of one snapshot's decisions for an engine.

    `conditions` are those of the catalogue. Raises LakeCompileError for a rule without a known meaning on the engine.
    """

    def __init__(
        self, snapshot: Snapshot, dialect: DialectName, conditions: tuple[Condition, ...] = CONDITIONS
    ) -> None:
        self._snapshot, self._conditions = snapshot, conditions
        self._dialect: Dialect = DIALECTS[dialect]
        self._parameters = snapshot.parameters()
        self._referenced: dict[str, str] = {}  # the rules about what an item references, by the names of their columns

    def statement(self) -> str:
        """Write the statement of all decisions: a row per item, with the ground, evidence, conditions and verdict."""
        conditions = [(each.code, self._condition(each)) for each in self._conditions]
        columns = [f"{sql} AS {self._dialect.quoted(name)}" for name, sql in (*self._evidence(), *conditions)]
        listed = ",\n    ".join(columns)
        verdicts = " ".join(
            f"WHEN {test} THEN {' AND '.join(f'd.{self._dialect.quoted(code)}' for code in codes)}"
            for test, codes in judged_conditions(self._snapshot.policy, "d")
        )
        return f"""WITH RECURSIVE {self._parents()},
{self._references()},
told AS (
  {self._told()})
SELECT d.*, coalesce(CASE {verdicts} END, FALSE) AS permitted
FROM (
  SELECT c.id, c.account, c.kind, {ground_expression(self._snapshot.policy)} AS ground,
    {listed}
  FROM content c JOIN account_standing s ON s.account = c.account
  LEFT JOIN family f ON f.id = c.family
  LEFT JOIN parents ON parents.item = c.id
  LEFT JOIN item_references ON item_references.item = c.id
  LEFT JOIN family_references ON family_references.family = c.family
  LEFT JOIN told ON told.kind = c.kind AND told.product = s.product) d
"""

    def _rewrite(self, code: str, sql: str, tables: Mapping[str, frozenset[str]]) -> str:
        """Write the SQL of a condition for the engine, with the values of the snapshot."""
        return Rewriter(code, self._dialect, tables).rewrite(sql.format_map(self._parameters))

    def _evidence(self) -> list[tuple[str, str]]:
        """Return the evidence columns that pages show, each with its SQL; those for examiners stay in the database."""
        return [
            (name, self._rewrite(name, evidence_fact(name), _ITEM_TABLES))
            for name in evidence_columns(examined=False)
            if name != "kind"
        ]

    def _condition(self, condition: Condition) -> str:
        """Write the SQL of a condition: every part holds."""
        return f"({' AND '.join(self._part(condition.code, part) for part in condition.parts)})"

    def _part(self, code: str, part: str | Since | Referenced) -> str:
        """Write the SQL of a part of a condition."""
        if isinstance(part, Referenced):
            return self._of_references(code, part)
        return self._rewrite(code, part if isinstance(part, str) else part.predicate, _ITEM_TABLES)

    def _of_references(self, code: str, part: Referenced) -> str:
        """Write the SQL of a condition about all that an item and its family reference, as `Referenced` states it."""
        rules = [each if isinstance(each, str) else each.predicate for each in part.rule]
        rule = f"({' AND '.join(self._rewrite(code, each, _REFERENCED_TABLES) for each in rules)})"
        column = self._dialect.quoted(self._referenced.setdefault(rule, f"rule_{len(self._referenced)}"))
        of_family = f"CASE WHEN family_references.family IS NULL THEN TRUE ELSE family_references.{column} END"
        return (
            f"((NOT c.has_references OR CASE WHEN item_references.item IS NULL THEN TRUE"
            f" ELSE item_references.{column} END) AND (f.id IS NULL OR f.reference_count = c.reference_count"
            f" OR CASE WHEN f.reference_count <= {MAX_FAMILY_REFERENCES} THEN {of_family} END))"
        )

    def _references(self) -> str:
        """Write the SQL of the rules about references, of each item and of each family together."""
        rules = {name: rule for rule, name in self._referenced.items()}
        if not rules:
            raise LakeCompileError("the conditions have no rule about references, but the compiler requires one")
        each = ", ".join(f"{rule} AS {self._dialect.quoted(name)}" for name, rule in rules.items())
        together = ", ".join(
            f"{_all_true(f'q.{self._dialect.quoted(name)}')} AS {self._dialect.quoted(name)}" for name in rules
        )
        return f"""referenced AS (
  SELECT r.content, {each} FROM content_reference r JOIN account_standing o ON o.account = r.account
  UNION ALL
  SELECT r.content, {each} FROM content_reference r JOIN referenced_contact o ON o.id = r.contact),
item_references AS (
  SELECT q.content AS item, {together} FROM referenced q GROUP BY q.content),
family_references AS (
  SELECT m.family, {together}
  FROM content m JOIN family f ON f.id = m.family AND f.reference_count <= {MAX_FAMILY_REFERENCES}
  JOIN referenced q ON q.content = m.id
  WHERE m.concerns_family AND m.has_references GROUP BY m.family)"""

    def _parents(self) -> str:
        """Write the SQL of the walk up from each item, and of what it finds: see PARENTS_PUBLIC of the catalogue."""
        public, top = (
            self._rewrite("AUDIENCE_PUBLIC", rule.format("a"), _MEMBER_TABLES) for rule in (IS_PUBLIC, IS_TOP)
        )
        above = "w.place > 1"
        return f"""named_parents AS (
  SELECT a.id, a.platform_id, a.parent, {public} AS is_public, {top} AS is_top
  FROM content a WHERE a.platform_id IN (SELECT c.parent FROM content c)),
above AS (
  SELECT c.id AS item, 1 AS place, p.parent, p.is_public, p.is_top
  FROM content c JOIN named_parents p ON p.platform_id = c.parent AND p.id <> c.id
  UNION ALL
  SELECT u.item, u.place + 1, a.parent, a.is_public, a.is_top
  FROM above u JOIN named_parents a ON a.platform_id = u.parent AND a.id <> u.item WHERE u.place < {MAX_PARENTS}),
parents AS (
  SELECT g.item, (g.is_public AND (g.is_top OR (g.all_public AND g.ends))) AS are_public
  FROM (
    SELECT w.item, {_first("w.is_public")} AS is_public, {_first("w.is_top")} AS is_top,
      CASE WHEN sum(CASE WHEN {above} AND NOT w.is_public THEN 1 ELSE 0 END) > 0 THEN FALSE
        WHEN sum(CASE WHEN {above} AND w.is_public THEN 0 WHEN {above} THEN 1 ELSE 0 END) > 0 THEN NULL
        WHEN max(w.place) > 1 THEN TRUE END AS all_public,
      CASE WHEN sum(CASE WHEN {above} AND w.is_top THEN 1 ELSE 0 END) > 0 THEN TRUE END AS ends
    FROM above w GROUP BY w.item) g)"""

    def _told(self) -> str:
        """Write the SQL of the campaigns that told of each use, for the snapshot's purpose."""
        rows = []
        for use, epochs in sorted(self._snapshot.told.items()):
            kind, _, product = use.partition(" ")
            values = (self._dialect.literal(kind), self._dialect.literal(product), self._dialect.texts(epochs))
            rows.append("SELECT {} AS kind, {} AS product, {} AS epochs".format(*values))
        none = f"SELECT '' AS kind, '' AS product, {self._dialect.empty_list} AS epochs WHERE FALSE"
        return "\n  UNION ALL ".join(rows or [none])


def _all_true(value: str) -> str:
    """Write whether a value is TRUE in all rows: FALSE where one is, and else unknown where one is."""
    return (
        f"CASE WHEN sum(CASE WHEN NOT {value} THEN 1 ELSE 0 END) > 0 THEN FALSE"
        f" WHEN count({value}) < count(*) THEN NULL ELSE TRUE END"
    )


def _first(value: str) -> str:
    """Write the truth value of the item directly above: the only row of the first place."""
    return f"(max(CASE WHEN w.place = 1 THEN CAST({value} AS INT) END) = 1)"
