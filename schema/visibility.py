"""The table of which role reads which field, written from the declarations."""

from collections import defaultdict

from graphql import GraphQLObjectType, GraphQLSchema

from schema.enums import Role
from schema.governed import governance_of


def visibility_table(schema: GraphQLSchema) -> str:
    """Write the Markdown table of which roles may read which fields of the GraphQL API."""
    header = ["type", "fields", *(f"`{role}`" for role in Role)]
    lines = [header, ["---", "---", *(":-:" for _ in Role)]]
    for name, kind in sorted(schema.type_map.items()):
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__"):
            lines += [[f"`{name}`", ", ".join(fields), *marks] for marks, fields in _by_readers(kind).items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _by_readers(kind: GraphQLObjectType) -> dict[tuple[str, ...], list[str]]:
    """Group the fields of a GraphQL type by the roles that may read them."""
    fields: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, field in kind.fields.items():
        governance = governance_of(field)
        readers = governance.readers if governance else frozenset()
        fields[tuple("✓" if role in readers else "" for role in Role)].append(name)
    return fields
