"""The API reference in a browser: what the signed-in role can read, and a form that runs queries only."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)
from starlette.responses import Response

from app.http.boundary import HTTPError
from app.http.graphql import REQUEST_SECONDS, GraphQLRequest, format_errors
from app.web.pages import OperationError, PageRequest, ReasonMissingError
from schema.actor import Role
from schema.build import build_schema
from schema.governed import governance_of

EXAMPLE: Final = "{\n  viewer { name role }\n  policy { version title }\n  conditions { code sentence }\n}"


@dataclass(frozen=True, slots=True)
class ReferenceField:
    """A field, argument or value of the reference; `of` is the name of its type, if the reference has the type."""

    name: str
    type: str
    of: str | None
    description: str
    arguments: tuple["ReferenceField", ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceType:
    """A type of the reference, with the fields that the role can read."""

    name: str
    kind: str
    description: str
    fields: tuple[ReferenceField, ...]


async def show_reference(request: PageRequest) -> Response:
    """Show the dashboard's reference of the API, and the result of a submitted query."""
    types = await asyncio.to_thread(reference_of, request.actor.role)
    fields = await request.form() if request.request.method == "POST" else {}
    problem, result = None, None
    if fields:
        try:
            result = await _run_query(request, fields)
        except OperationError as error:
            if isinstance(error, ReasonMissingError) or not error.is_input_error:
                raise
            problem = error.message
    return request.respond(
        "reference.html",
        status=422 if problem else 200,
        types=types,
        query=fields.get("query") or EXAMPLE,
        variables=fields.get("variables", ""),
        problem=problem,
        result=result,
    )


async def _run_query(request: PageRequest, fields: Mapping[str, str]) -> str:
    """Run the query of the dashboard's form as the signed-in account; return the answer as JSON.

    Raises OperationError for variables that are no JSON object, and for an operation that is not a query.
    """
    try:
        variables = orjson.loads(fields.get("variables", "").strip() or b"{}")
    except orjson.JSONDecodeError:
        variables = None
    if not isinstance(variables, dict):
        raise OperationError("variables: must be a JSON object (correct it)", 422, is_input_error=True)
    asked = GraphQLRequest(
        fields.get("query", ""), None, variables, None, read_only=True, reason=request.session.reason
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            found = await request.endpoint.execute(request.actor, asked)
    except TimeoutError:
        raise OperationError(
            "The query took too long. Request fewer items or fields.", 422, is_input_error=True
        ) from None
    except HTTPError as error:
        if error.status != 405:
            raise
        raise OperationError(
            "Only queries can be run here. Send mutations to /graphql with a token.", 422, is_input_error=True
        ) from None
    errors = format_errors(found.errors or [])
    if any(each.get("extensions", {}).get("code") == "REASON_REQUIRED" for each in errors):
        raise ReasonMissingError("State first why you read people's data.", 422)
    answer: dict[str, Any] = {"data": found.data} | ({"errors": errors} if errors else {})
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()


@cache
def reference_of(role: Role) -> tuple[ReferenceType, ...]:
    """List for the dashboard's reference the types that a role can reach, the queries first, with what it can read."""
    schema = build_schema().core
    assert schema.query_type is not None
    found: dict[str, ReferenceType] = {}
    waiting = [schema.query_type.name]
    while waiting:
        name = waiting.pop(0)
        if name in found or name.startswith("__"):
            continue
        made = _describe_type(schema, name, role)
        if made is None:
            continue
        found[name] = made
        for field in made.fields:
            waiting += [each.of for each in (field, *field.arguments) if each.of]
    known = {name for name, made in found.items() if made.fields}
    return tuple(_without_unknown(made, known) for made in found.values() if made.fields)


def _describe_type(schema: GraphQLSchema, name: str, role: Role) -> ReferenceType | None:
    """Describe a type of the API for the dashboard's reference; None for a scalar."""
    kind = schema.type_map[name]
    description = kind.description or ""
    if isinstance(kind, GraphQLObjectType):
        fields = [_describe_field(key, field) for key, field in kind.fields.items() if _is_shown_to(field, role)]
        return ReferenceType(name, "type", description, tuple(fields))
    if isinstance(kind, GraphQLEnumType):
        values = kind.values.items()
        return ReferenceType(
            name,
            "enum",
            description,
            tuple(ReferenceField(key, "", None, each.description or "") for key, each in values),
        )
    if isinstance(kind, GraphQLInputObjectType):
        inputs = _describe_parts((key, each.type, each.description) for key, each in kind.fields.items())
        return ReferenceType(name, "input", description, inputs)
    return None


def _describe_field(name: str, field: GraphQLField) -> ReferenceField:
    """Describe a field of the API for the dashboard's reference, with its arguments."""
    (made,) = _describe_parts([(name, field.type, field.description)])
    arguments = _describe_parts((key, each.type, each.description) for key, each in field.args.items())
    return ReferenceField(made.name, made.type, made.of, made.description, arguments)


def _describe_parts(parts: Iterable[tuple[str, Any, str | None]]) -> tuple[ReferenceField, ...]:
    """Describe fields or arguments of the API for the dashboard's reference."""
    return tuple(ReferenceField(name, str(of), get_named_type(of).name, text or "") for name, of, text in parts)


def _is_shown_to(field: GraphQLField, role: Role) -> bool:
    """Return whether the dashboard's reference shows a field to a role."""
    governance = governance_of(field)
    return governance is not None and role in governance.readers


def _without_unknown(made: ReferenceType, known: set[str]) -> ReferenceType:
    """Remove from a type of the dashboard's reference the links to types that the reference does not have."""

    def linked(field: ReferenceField) -> ReferenceField:
        """Keep the link of a field only if the reference has its type."""
        of = field.of if field.of in known else None
        return ReferenceField(field.name, field.type, of, field.description, tuple(map(linked, field.arguments)))

    return ReferenceType(made.name, made.kind, made.description, tuple(map(linked, made.fields)))
