"""The effects of a schema, or of a schema change, on the operations of consumers. Reads neither files nor the network.

The roles that may read a field come from @governed in the SDL (the field's syntax tree), which introspection omits.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    find_schema_changes,
    validate,
    value_from_ast_untyped,
)

from grounds_client.contract.usage import selected_fields
from grounds_client.documents import Operation
from grounds_client.limits import limit_errors

_NAME: Final = r"@?\w+(?:\.\w+)?(?:\(\w+:\))?"
_GROUP: Final = re.compile(rf"(?:union type|implemented by|added to|removed from) ({_NAME})\.$")
_BEGINNING: Final = re.compile(
    r"(?:Field |Argument |Enum value |Directive |Standard scalar |An? (?:required|optional) (?:field|argument) "
    rf"|Description of (?:(?:field|input-field|argument|enum value|directive) )?)?({_NAME})"
)
_AFFECTS_IF_PASSED: Final = (
    "ARG_REMOVED",
    "ARG_CHANGED_KIND",
    "ARG_CHANGED_KIND_SAFE",
    "DIRECTIVE_ARG_REMOVED",
)


class Verdict(StrEnum):
    """A reason why an operation does not pass."""

    FAILS = "fails"
    DEPRECATED = "deprecated"
    LIMIT = "over a limit"


class Severity(StrEnum):
    """The severity of a change, the highest first."""

    BREAKING = "breaking"
    DANGEROUS = "dangerous"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of an operation, and the line of the fault in the operation's document."""

    verdict: Verdict
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A change of the schema: its kind, and the coordinate of the element that changed."""

    severity: Severity
    kind: str
    coordinate: str
    description: str


def check_operation(schema: GraphQLSchema, operation: Operation, role: str | None = None) -> list[Finding]:
    """Find the faults of a consumer's operation; with a role, also the fields that the role may not read."""
    deprecated = validate(schema, operation.document, [NoDeprecatedCustomRule])
    return [
        *(_finding(Verdict.FAILS, error) for error in validate(schema, operation.document)),
        *(_forbidden_fields(schema, operation, role) if role is not None else ()),
        *(_finding(Verdict.DEPRECATED, error) for error in deprecated),
        *(_finding(Verdict.LIMIT, error) for error in limit_errors(operation.document)),
    ]


def schema_changes(old: GraphQLSchema, new: GraphQLSchema) -> list[SchemaChange]:
    """List the changes from one schema to another for a contract check, the most severe first."""
    found = [
        _make_change(each.type.name, type(each).__name__, each.description) for each in find_schema_changes(old, new)
    ]
    severities = list(Severity)
    return sorted([*found, *_reader_changes(old, new)], key=lambda each: severities.index(each.severity))


def affected_operations(
    change: SchemaChange, schema: GraphQLSchema, operations: Iterable[tuple[Operation, set[str]]]
) -> list[Operation]:
    """List the consumers' operations that a schema change affects, by the coordinates that they use.

    A change of an enum value or an input field affects each operation that uses the type, because variables and answers
    can contain the value or field. An argument that is new or has another default affects each operation that selects
    its field.
    """
    coordinate = change.coordinate
    if "(" in coordinate and change.kind not in _AFFECTS_IF_PASSED:
        coordinate = coordinate.partition("(")[0]
    owner = coordinate.partition(".")[0]
    if isinstance(schema.type_map.get(owner), GraphQLEnumType | GraphQLInputObjectType):
        coordinate = owner
    return [operation for operation, used in operations if coordinate in used]


def newly_invalid_operations(
    old: GraphQLSchema, new: GraphQLSchema, operations: Iterable[Operation]
) -> list[tuple[Operation, list[Finding]]]:
    """List the consumers' operations that the old schema executes and the new one does not, with faults."""
    valid = (each for each in operations if not validate(old, each.document))
    found = ((each, [_finding(Verdict.FAILS, error) for error in validate(new, each.document)]) for each in valid)
    return [(each, findings) for each, findings in found if findings]


def declared_readers(field: GraphQLField) -> frozenset[str] | None:
    """Return for a contract check the roles that may read a field by @governed; None if it has no such directive."""
    for directive in field.ast_node.directives or () if field.ast_node else ():
        if directive.name.value == "governed":
            values = (value_from_ast_untyped(each.value) for each in directive.arguments or ())
            return frozenset(str(role) for value in values for role in value)
    return None


def _finding(verdict: Verdict, error: GraphQLError) -> Finding:
    """Make a finding of a contract check from a validation error."""
    return Finding(verdict, error.message, error.locations[0].line if error.locations else None)


def _forbidden_fields(schema: GraphQLSchema, operation: Operation, role: str) -> Iterator[Finding]:
    """List the fields of a consumer's operation that a role may not read in any type."""
    for coordinate, line in selected_fields(operation.own, schema).items():
        name, _, field_name = coordinate.partition(".")
        kind = schema.type_map[name]
        kinds = schema.get_possible_types(kind) if isinstance(kind, GraphQLInterfaceType) else (kind,)
        declared = [declared_readers(each.fields[field_name]) for each in kinds if isinstance(each, GraphQLObjectType)]
        readers = frozenset[str]().union(*(each for each in declared if each is not None))
        if role not in readers:
            allowed = ", ".join(sorted(readers)) or "no role, because it declares no readers"
            message = f"{coordinate} is for {allowed}; {role} may not read it (remove the field)"
            yield Finding(Verdict.FAILS, message, line)


def _make_change(kind: str, severity: str, description: str) -> SchemaChange:
    """Describe a change of the schema for a contract check, without the texts of descriptions."""
    if kind == "DESCRIPTION_CHANGED":  # both descriptions follow, which may be pages
        description = f"{description.partition(' has changed')[0]} has changed."
    found = _GROUP.search(description) or _BEGINNING.match(description)
    assert found is not None, "every description has a word"
    return SchemaChange(Severity(severity.removesuffix("Change").lower()), kind, found[1], description)


def _reader_changes(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[SchemaChange]:
    """List for a contract check the fields that more or fewer roles may read than before."""
    after = _fields(new)
    for coordinate, field in _fields(old).items():
        if coordinate not in after:
            continue
        was, now = declared_readers(field), declared_readers(after[coordinate])
        if more := _added_roles(was, now):
            description = f"Field {coordinate} can now also be read by {more}."
            yield SchemaChange(Severity.BREAKING, "GOVERNANCE_LOOSENED", coordinate, description)
        if fewer := _added_roles(now, was):
            description = f"Field {coordinate} can no longer be read by {fewer}."
            yield SchemaChange(Severity.DANGEROUS, "GOVERNANCE_TIGHTENED", coordinate, description)


def _added_roles(was: frozenset[str] | None, now: frozenset[str] | None) -> str:
    """Name the roles that a schema change adds to a field. A field without @governed is open to every client."""
    if was is None:
        return ""
    return "every client" if now is None else ", ".join(sorted(now - was))


def _fields(schema: GraphQLSchema) -> dict[str, GraphQLField]:
    """Return all fields of a schema by coordinate, for a contract check."""
    return {
        f"{name}.{field_name}": field
        for name, kind in schema.type_map.items()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field_name, field in kind.fields.items()
    }
