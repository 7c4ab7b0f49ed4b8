"""What a schema, or a change of it, does to operations that others wrote: nothing here reads a file or the network.

Who may read a field is taken from @governed in the SDL (a field's syntax tree), which introspection does not tell.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    find_schema_changes,
    separate_operations,
    validate,
    value_from_ast_untyped,
)

from schema.actor import Role
from schema.limits import faults_of
from schema.usage import selected_by

_NAME: Final = r"@?\w+(?:\.\w+)?(?:\(\w+:\))?"
_GROUP: Final = re.compile(rf"(?:union type|implemented by|added to|removed from) ({_NAME})\.$")
_BEGINNING: Final = re.compile(
    r"(?:Field |Argument |Enum value |Directive |Standard scalar |An? (?:required|optional) (?:field|argument) "
    rf"|Description of (?:(?:field|input-field|argument|enum value|directive) )?)?({_NAME})"
)
_OF_THOSE_WHO_PASS_IT: Final = ("ARG_REMOVED", "ARG_CHANGED_KIND", "ARG_CHANGED_KIND_SAFE", "DIRECTIVE_ARG_REMOVED")


class Verdict(StrEnum):
    """Say what is wrong with an operation."""

    FAILS = "fails"
    DEPRECATED = "deprecated"
    LIMIT = "over a limit"


class Weight(StrEnum):
    """Say how a change weighs."""

    BREAKING = "breaking"
    DANGEROUS = "dangerous"
    SAFE = "safe"


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """Hold an operation: its document, which is valid or not as a whole, and the part of it that is its own."""

    consumer: str
    name: str
    file: str
    text: str
    document: DocumentNode
    own: DocumentNode


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what is wrong with an operation, and in which line of its document."""

    verdict: Verdict
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Hold a change of the schema: of which kind it is, and the coordinate of what was changed."""

    weight: Weight
    kind: str
    coordinate: str
    description: str


def identify(text: str) -> str:
    """Give the identifier of a document's text: `sha256:` and its SHA-256 in hexadecimal digits."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def operations_of(document: DocumentNode, consumer: str, file: str, unnamed: str, text: str) -> list[Operation]:
    """List the operations of a document, which is also given as text; one without a name is called `unnamed`."""
    separate = separate_operations(document)
    return [Operation(consumer, name or unnamed, file, text, document, own) for name, own in separate.items()]


def check(schema: GraphQLSchema, operation: Operation, role: Role | None = None) -> list[Finding]:
    """Find what is wrong with an operation; with a role, also what that role may not read."""
    failing = [_finding(Verdict.FAILS, error) for error in validate(schema, operation.document)]
    if not failing and role is not None:
        failing = [Finding(Verdict.FAILS, message) for message in _forbidden(schema, operation, role)]
    deprecated = validate(schema, operation.document, [NoDeprecatedCustomRule])
    return [
        *failing,
        *(_finding(Verdict.DEPRECATED, error) for error in deprecated),
        *(_finding(Verdict.LIMIT, error) for error in faults_of(operation.document)),
    ]


def changes(old: GraphQLSchema, new: GraphQLSchema) -> list[Change]:
    """List the changes from one schema to another, the heaviest first."""
    found = [_change(each.type.name, type(each).__name__, each.description) for each in find_schema_changes(old, new)]
    weights = list(Weight)
    return sorted([*found, *_governance_changes(old, new)], key=lambda each: weights.index(each.weight))


def touched(change: Change, schema: GraphQLSchema, operations: Iterable[tuple[Operation, set[str]]]) -> list[Operation]:
    """List the operations that a change touches, of those with what they use of the old schema.

    Values of an enum and fields of an input are touched by whoever uses the type, since variables and answers carry
    them; an argument that is new or has another default, by whoever selects its field.
    """
    mark = change.coordinate
    if "(" in mark and change.kind not in _OF_THOSE_WHO_PASS_IT:
        mark = mark.partition("(")[0]
    owner = mark.partition(".")[0]
    if isinstance(schema.type_map.get(owner), GraphQLEnumType | GraphQLInputObjectType):
        mark = owner
    return [operation for operation, used in operations if mark in used]


def broken(
    old: GraphQLSchema, new: GraphQLSchema, operations: Iterable[Operation]
) -> list[tuple[Operation, list[Finding]]]:
    """List the operations that are valid for the old schema, and not for the new one, with what would be wrong."""
    valid = (each for each in operations if not validate(old, each.document))
    found = ((each, [_finding(Verdict.FAILS, error) for error in validate(new, each.document)]) for each in valid)
    return [(each, findings) for each, findings in found if findings]


def readers_of(field: GraphQLField) -> frozenset[str] | None:
    """Read which roles @governed lets read a field; None where it declares nothing."""
    for directive in field.ast_node.directives or () if field.ast_node else ():
        if directive.name.value == "governed":
            values = (value_from_ast_untyped(each.value) for each in directive.arguments or ())
            return frozenset(str(role) for value in values for role in value)
    return None


def _finding(verdict: Verdict, error: GraphQLError) -> Finding:
    return Finding(verdict, error.message, error.locations[0].line if error.locations else None)


def _forbidden(schema: GraphQLSchema, operation: Operation, role: Role) -> Iterator[str]:
    """Say which fields a role may not read: an interface's, when it may of none of its types; unknown is excluded."""
    for coordinate in sorted(selected_by(operation.own, schema)):
        name, _, field_name = coordinate.partition(".")
        kind = schema.type_map[name]
        kinds = schema.get_possible_types(kind) if isinstance(kind, GraphQLInterfaceType) else (kind,)
        declared = [readers_of(each.fields[field_name]) for each in kinds if isinstance(each, GraphQLObjectType)]
        readers = frozenset[str]().union(*(each for each in declared if each is not None))
        if role not in readers:
            told = ", ".join(sorted(readers)) or "nobody, for it declares no readers"
            yield f"{coordinate} is for {told}; {role} may not read it (leave the field out)"


def _change(kind: str, weight: str, description: str) -> Change:
    if kind == "DESCRIPTION_CHANGED":  # both descriptions follow, which may be pages
        description = f"{description.partition(' has changed')[0]} has changed."
    found = _GROUP.search(description) or _BEGINNING.match(description)
    assert found is not None, "every description has a word"
    return Change(Weight(weight.removesuffix("Change").lower()), kind, found[1], description)


def _governance_changes(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    """List the fields that more roles may read than before, and those that fewer may."""
    after = _fields(new)
    for coordinate, field in _fields(old).items():
        if coordinate not in after:
            continue
        was, now = readers_of(field), readers_of(after[coordinate])
        if more := _gained(was, now):
            told = f"Field {coordinate} can now be read by {more} too."
            yield Change(Weight.BREAKING, "GOVERNANCE_LOOSENED", coordinate, told)
        if fewer := _gained(now, was):
            told = f"Field {coordinate} can no longer be read by {fewer}."
            yield Change(Weight.DANGEROUS, "GOVERNANCE_TIGHTENED", coordinate, told)


def _gained(was: frozenset[str] | None, now: frozenset[str] | None) -> str:
    """Write who may read what they might not before; what declares nothing has no wall."""
    if was is None:
        return ""
    return "whoever asks" if now is None else ", ".join(sorted(now - was))


def _fields(schema: GraphQLSchema) -> dict[str, GraphQLField]:
    return {
        f"{name}.{field_name}": field
        for name, kind in schema.type_map.items()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field_name, field in kind.fields.items()
    }
