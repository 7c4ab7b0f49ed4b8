"""Declare the readers of a field: the directive in the SDL, and the checks of the resolver and the row compiler.

A field without a declaration cannot be read: `check_governance` refuses the whole schema.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from schema.enums import Role
from schema.errors import Forbidden

EVERYONE = tuple(role for role in Role if role is not Role.PUBLIC)
"""All roles that a token can have."""
STAFF = (Role.DASHBOARD, Role.PRIVACY_OFFICER, Role.AUDITOR)
OPEN = (*STAFF, Role.PUBLIC, Role.TRAINING_CLIENT)
ANYONE = tuple(Role)
OPEN_AND_OWNER = (*OPEN, Role.DATA_SUBJECT)
OFFICERS = (Role.PRIVACY_OFFICER,)
EXAMINERS = (*OFFICERS, Role.AUDITOR)
EXAMINERS_AND_OWNER = (*EXAMINERS, Role.DATA_SUBJECT)
TRAINING = (Role.TRAINING_CLIENT,)
SUBJECTS = (Role.DATA_SUBJECT,)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="Limits a field to the roles in `readers`; a request by any other role gets an error.",
)
class Governed:
    """The directive that declares in the SDL which roles may read a field."""

    readers: list[Role]


class Source(Protocol):
    """The way to take a field's value from a row of a page; see `schema.execution.row_compiler`."""


class Governance(FieldExtension):
    """A field's readers, and the source of its value in a row."""

    def __init__(self, readers: Iterable[Role], source: Source | None) -> None:
        self.readers = frozenset(readers)
        self.source = source

    def apply(self, field: StrawberryField) -> None:
        """Print a field's @governed directive in the SDL; it is applied once for each schema that is built."""
        others = [directive for directive in field.directives if not isinstance(directive, Governed)]
        field.directives = [*others, Governed(readers=[role for role in Role if role in self.readers])]

    def check(self, role: Role, place: str) -> None:
        """Raise Forbidden unless the role may read the field of the GraphQL API."""
        if role not in self.readers:
            readers = ", ".join(reader for reader in Role if reader in self.readers)
            raise Forbidden(f"{place} is for {readers}, and this token is for {role} (remove the field)")

    def resolve(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **arguments: Any) -> Any:
        """Check that the role may read the field of the GraphQL API, then resolve it."""
        self._check(info)
        return next_(source, info, **arguments)

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """Check that the role may read the field of the GraphQL API, then resolve it asynchronously."""
        self._check(info)
        return await next_(source, info, **arguments)

    def _check(self, info: strawberry.Info) -> None:
        """Raise Forbidden unless the actor's role may read the field of the GraphQL API."""
        role = info.context.actor.role
        if role not in self.readers:
            self.check(role, f"{info._raw_info.parent_type.name}.{info.field_name}")


def governed(
    readers: Iterable[Role],
    *,
    row: Source | None = None,
    resolver: Callable[..., Any] | None = None,
    description: str | None = None,
) -> Any:
    """Declare a field of the GraphQL API and the roles that may read it.

    `row` says where the value stands in a row of a page, which makes the field fit for the compiled path.
    """
    governance = Governance(readers, row)
    if resolver is None:
        return strawberry.field(description=description, extensions=[governance])
    return strawberry.field(resolver=resolver, description=description, extensions=[governance])


def governance_of(field: GraphQLField) -> Governance | None:
    """Find which roles a field of the GraphQL API declares as its readers."""
    definition = field.extensions.get("strawberry-definition")
    if isinstance(definition, StrawberryField):
        for extension in definition.extensions:
            if isinstance(extension, Governance):
                return extension
    return None


def check_governance(schema: GraphQLSchema) -> None:
    """Refuse a GraphQL schema in which a field of an object type does not declare its readers."""
    silent = [
        f"{name}.{field_name}"
        for name, kind in schema.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
        for field_name, field in kind.fields.items()
        if governance_of(field) is None
    ]
    if silent:
        raise TypeError(f"these fields do not declare their readers (use governed()): {', '.join(silent)}")
