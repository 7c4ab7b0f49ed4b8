"""Relay's rules for lists: `./run python -m tests.conformance.relay` (needs Node and npm).

For every field of the schema that gives a connection, a fragment is written that can be paged through on its own, and a
query that uses it; relay-compiler must make all of them, and the query that fetches the next page.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_argument,
)

from tests.conformance.served import SDL, install_from_npm, temporary_folder

PACKAGES = ("relay-compiler@21",)
MAX_PATH_LENGTH = 3  # types may hold each other in circles


@dataclass(frozen=True)
class Listing:
    """A field that gives a connection, and its path from a type that Relay can fetch again."""

    owner: GraphQLObjectType
    way: tuple[str, ...]  # fields of one object each
    field: str
    connection: GraphQLObjectType

    @property
    def name(self) -> str:
        """Return the name of its module, which all names in it must begin with."""
        return "".join(word[0].upper() + word[1:] for word in (self.owner.name, *self.way, self.field))


def connections(schema: GraphQLSchema) -> set[str]:
    """Return the names of the connection types."""
    return {name for name in schema.type_map if name.endswith("Connection")}


def listings(schema: GraphQLSchema) -> Iterator[Listing]:
    """Find the ways to every field that gives a connection: from Query, and from what can be fetched by its id."""
    for owner in schema.type_map.values():
        if isinstance(owner, GraphQLObjectType) and (owner is schema.query_type or _is_node(owner)):
            yield from _beneath(owner, owner, ())


def _beneath(owner: GraphQLObjectType, holder: GraphQLObjectType, way: tuple[str, ...]) -> Iterator[Listing]:
    for name, field in holder.fields.items():
        given = get_named_type(field.type)
        if not isinstance(given, GraphQLObjectType):
            continue
        if given.name.endswith("Connection"):
            yield Listing(owner, way, name, given)
        elif _is_one(field) and not _is_node(given) and len(way) < MAX_PATH_LENGTH:
            yield from _beneath(owner, given, (*way, name))


def _is_node(kind: GraphQLObjectType) -> bool:
    return any(interface.name == "Node" for interface in kind.interfaces)


def _is_one(field: GraphQLField) -> bool:
    needs_more = any(is_required_argument(argument) for argument in field.args.values())
    return not needs_more and not is_list_type(get_nullable_type(field.type))


def module(listing: Listing) -> str:
    """Write the fragment that pages through a list, and a query that begins with its first page."""
    name, fragment = listing.name, f"{listing.name}_owner"
    page = f'{listing.field}(first: $count, after: $cursor) @connection(key: "{fragment}_{listing.field}")'
    selection = f"{page} {{ edges {{ node {{ __typename }} }} }}"
    for step in reversed(listing.way):
        selection = f"{step} {{ {selection} }}"
    arguments = 'count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }'
    root, variables = f"...{fragment}", ""
    if listing.owner.name != "Query":
        root, variables = f"node(id: $id) {{ ...{fragment} @alias }}", "($id: ID!)"
    return f"""graphql`
  fragment {fragment} on {listing.owner.name}
  @refetchable(queryName: "{name}PageQuery")
  @argumentDefinitions({arguments}) {{
    {selection}
  }}
`;
graphql`
  query {name}Query{variables} {{
    {root}
  }}
`;
"""


def compile_all(folder: Path, found: list[Listing]) -> None:
    """Run the compiler on a module for each list; raise SystemExit where it refuses, or leaves a query out."""
    (folder / "modules").mkdir()
    for listing in found:
        (folder / "modules" / f"{listing.name}.js").write_text(module(listing))
    config = {"src": "modules", "schema": "schema.graphql", "language": "javascript", "artifactDirectory": "made"}
    (folder / "relay.config.json").write_text(json.dumps(config))
    (folder / "schema.graphql").write_text(SDL.read_text())
    (folder / "made").mkdir()
    done = subprocess.run(
        ["node_modules/.bin/relay-compiler", "--output", "quiet-with-errors"], cwd=folder, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"relay-compiler ended with {done.returncode} (see above)")
    for listing in found:
        for query in (f"{listing.name}Query", f"{listing.name}PageQuery"):
            if not (folder / "made" / f"{query}.graphql.js").exists():
                raise SystemExit(f"relay-compiler made no {query}")


def main() -> None:
    """Install the compiler in a temporary folder, and let it compile every list of the schema."""
    schema = build_schema(SDL.read_text())
    found = list(listings(schema))
    missed = connections(schema) - {listing.connection.name for listing in found}
    if missed:
        sys.exit(f"no way that Relay can fetch again leads to {', '.join(sorted(missed))}")
    with temporary_folder() as folder:
        install_from_npm(folder, *PACKAGES)
        compile_all(folder, found)
    for listing in found:
        print(f"compiled: {'.'.join((listing.owner.name, *listing.way, listing.field))}: {listing.connection.name}")
    print(f"{len(connections(schema))} of {len(connections(schema))} connection types")


if __name__ == "__main__":
    main()
