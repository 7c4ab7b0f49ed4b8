"""What `grounds contract` and `grounds documents` read: operations, and schemas.

Light, since a consumer's test suite loads it: what the gateway needs is loaded only where its own schema is asked for.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import httpx
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_client_schema,
    build_schema,
    get_introspection_query,
    parse,
    resolve_schema_coordinate,
    validate_schema,
)

from schema.contracts import Operation, identify, operations_of

SUFFIXES: Final = (".graphql", ".gql")
PERSISTED: Final = ".json"
ANSWER_SECONDS: Final = 30.0
VARIABLE: Final = "GROUNDS_TOKEN"


class ContractError(Exception):
    """Say, in the reader's words, what cannot be read."""


def read_operations(places: Iterable[Path], client: str | None = None) -> list[Operation]:
    """Read the operations of files, and of folders with all that is in them; a folder's SDL files are left out.

    A JSON file is the manifest of graphql-codegen's `persistedDocuments`, `{"sha256:<hex>": "<text>"}`. The consumer is
    `client`, or else the name of the folder that a file lies in. Raises ContractError, also for two operations of one
    name in one folder.
    """
    found: list[Operation] = []
    known: set[Path] = set()  # a file may be named, and lie in a folder that is named too
    for place in places:
        if not place.exists():
            raise ContractError(f"{place}: there is no such file or folder (name .graphql files or folders)")
        folder = place.is_dir()
        files = sorted(each for each in place.rglob("*") if each.suffix in SUFFIXES) if folder else [place]
        operations = [each for file in files for each in _operations(file, client, sdl=folder)]
        if not operations:
            raise ContractError(f"{place}: has no operation (name .graphql files or folders that have some)")
        found += (each for each in operations if Path(each.file).resolve() not in known)
        known |= {file.resolve() for file in files}
    _refuse_namesakes(found)
    return found


def read_schema(name: str | None) -> GraphQLSchema:
    """Read a schema: an SDL file, a gateway's by its URL, or without a name the one that this version serves.

    Raises ContractError.
    """
    if name is None:
        from schema.build import build_schema as build_own_schema

        return build_schema(build_own_schema().as_str())
    if is_url(name):
        return _introspected(name)
    file = Path(name)
    try:
        schema = build_schema(_text(file))
    except GraphQLError as error:
        raise ContractError(f"{file}{_place(error)}: is no SDL: {error.message} (mend it)") from None
    except TypeError as error:  # graphql-core's for definitions that contradict each other
        raise ContractError(f"{file}: is no sound schema: {error} (mend it)") from None
    faults = validate_schema(schema)
    if faults:
        raise ContractError(f"{file}: is no sound schema: {faults[0].message} (mend it)")
    return schema


def is_url(name: str) -> bool:
    """Tell whether a schema is asked for, rather than read."""
    return name.startswith(("http://", "https://"))


def known_coordinate(schema: GraphQLSchema, coordinate: str) -> str:
    """Give a coordinate that the schema has. Raises ContractError for others."""
    try:
        found = resolve_schema_coordinate(schema, coordinate)
    except (GraphQLError, TypeError, ValueError):  # its syntax, or a type that is not there
        found = None
    if found is None:
        raise ContractError(f"{coordinate}: is nothing that the schema has (write it as TrainableContent.text)")
    return coordinate


def _operations(file: Path, client: str | None, *, sdl: bool) -> list[Operation]:
    consumer = client or file.resolve().parent.name
    found: list[Operation] = []
    for text in _persisted(file) if file.suffix == PERSISTED else [_text(file)]:
        try:
            document = parse(text)
        except GraphQLError as error:
            raise ContractError(f"{file}{_place(error)}: cannot be parsed: {error.message} (mend it)") from None
        operations = operations_of(document, consumer, str(file), file.stem, text)
        if not operations and not (sdl and all(_defines(each.kind) for each in document.definitions)):
            raise ContractError(f"{file}: has no operation (fragments go into the documents that use them)")
        _refuse_repetitions(file, document)
        found += operations
    return found


def _persisted(file: Path) -> list[str]:
    """Read the texts of the manifest that graphql-codegen writes, each under the id that the gateway would give it."""
    try:
        documents = json.loads(_text(file))
    except ValueError:
        raise ContractError(f"{file}: is no JSON (name .graphql files, or what graphql-codegen persisted)") from None
    if not isinstance(documents, dict) or not all(isinstance(text, str) for text in documents.values()):
        raise ContractError(f'{file}: is no object of documents (write {{"sha256:<hex>": "<document>", ...}})')
    for name, text in documents.items():
        if name != identify(text):
            todo = 'let graphql-codegen have presetConfig.persistedDocuments.hashAlgorithm: "sha256"'
            raise ContractError(f"{file}: an id is not sha256: and the SHA-256 of its document ({todo})")
    return list(documents.values())


def _refuse_repetitions(file: Path, document: DocumentNode) -> None:
    """Refuse two operations of one name in a document, of which no request could mean one."""
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    names = Counter(each.name.value for each in operations if each.name)
    for name, times in names.items():
        if times > 1:
            raise ContractError(f"{file}: has {times} operations called {name} (give each a name of its own)")


def _refuse_namesakes(operations: Iterable[Operation]) -> None:
    """Refuse two operations of one name in files of one folder: of which one is told, nobody would know."""
    files: dict[tuple[Path, str], str] = {}
    for each in operations:
        first = files.setdefault((Path(each.file).resolve().parent, each.name), each.file)
        if Path(first).resolve() != Path(each.file).resolve():
            raise ContractError(f"{each.file}: has an operation {each.name}, as {first} has (rename one of them)")


def _defines(kind: str) -> bool:
    """Tell whether a definition is one of a schema."""
    return kind not in ("operation_definition", "fragment_definition")


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise ContractError(f"{file}: cannot be read: {error.strerror} (name a file)") from None
    except UnicodeDecodeError:
        raise ContractError(f"{file}: is not UTF-8 (write it so)") from None


def _introspected(url: str) -> GraphQLSchema:
    """Ask a gateway for its schema. Redirects are not followed: the token is for the gateway that was named."""
    token = os.environ.get(VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = get_introspection_query(input_value_deprecation=True)
    try:
        answer = httpx.post(url, json={"query": query}, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ContractError(
            f"--schema: the gateway cannot be asked: {type(error).__name__} (see its address)"
        ) from None
    if not answer.is_success:
        refused = answer.status_code in (401, 403)
        todo = f"put a token that it accepts into {VARIABLE}" if refused else "see the address: it ends in /graphql"
        raise ContractError(f"--schema: the gateway answered {answer.status_code} ({todo})")
    try:
        return build_client_schema(answer.json()["data"])
    except (ValueError, TypeError, KeyError, GraphQLError):
        todo = "see the address; where GROUNDS_INTROSPECTION is off, name an SDL file"
        raise ContractError(f"--schema: the gateway does not tell its schema ({todo})") from None


def _place(error: GraphQLError) -> str:
    return f":{error.locations[0].line}:{error.locations[0].column}" if error.locations else ""
