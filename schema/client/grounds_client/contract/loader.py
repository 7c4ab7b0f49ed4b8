"""Read operations and schemas: from files, from folders, and from a gateway's introspection."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import httpx
from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_client_schema,
    build_schema,
    get_introspection_query,
    get_named_type,
    parse,
    resolve_schema_coordinate,
    validate_schema,
)

from grounds_client.documents import Operation, document_id, split_operations

DOCUMENT_SUFFIXES: Final = (".graphql", ".gql")
MANIFEST_SUFFIX: Final = ".json"
TIMEOUT_SECONDS: Final = 30.0
TOKEN_VARIABLE: Final = "GROUNDS_TOKEN"  # noqa: S105 - its name, not a token
INSTALLED_FOLDERS: Final = frozenset({"node_modules", "site-packages", "__pycache__"})


class ContractError(Exception):
    """Operations or a schema that cannot be read; the message says which and what to do."""


def read_operations(places: Iterable[Path], client: str | None = None) -> list[Operation]:
    """Read consumers' operations from files and folders, but not from SDL files and installed packages.

    A JSON file is the manifest that graphql-codegen's `persistedDocuments` writes, `{"sha256:<hex>": "<text>"}`. The
    consumer is `client`, or else the name of the file's folder. Raises ContractError, also if one folder has two
    operations of the same name.
    """
    found: list[Operation] = []
    known: set[Path] = set()  # a file can be named, and lie in a folder that is named too
    for place in places:
        if not place.exists():
            raise ContractError(f"{place}: does not exist (pass .graphql files or folders)")
        folder = place.is_dir()
        files = sorted(_document_files(place)) if folder else [place]
        operations = [each for file in files for each in _file_operations(file, client, sdl_allowed=folder)]
        if not operations:
            raise ContractError(f"{place}: contains no operation (pass .graphql files or folders with operations)")
        found += (each for each in operations if Path(each.file).resolve() not in known)
        known |= {file.resolve() for file in files}
    _reject_same_name_in_folder(found)
    return found


def read_schema(source: str) -> GraphQLSchema:
    """Read the schema of a contract check from an SDL file, or from a gateway's URL. Raises ContractError."""
    if is_url(source):
        return _introspect(source)
    file = Path(source)
    try:
        schema = build_schema(_read_text(file))
    except GraphQLError as error:
        raise ContractError(f"{file}{_position(error)}: is not valid SDL, {error.message} (correct it)") from None
    except TypeError as error:  # graphql-core's for definitions that contradict each other
        raise ContractError(f"{file}: is not a valid schema, {error} (correct it)") from None
    errors = validate_schema(schema)
    if errors:
        raise ContractError(f"{file}: is not a valid schema, {errors[0].message} (correct it)")
    return schema


def read_governed_schema(source: str, argument: str) -> GraphQLSchema:
    """Read the schema of a contract check with the roles that may read each field, which only SDL shows.

    Raises ContractError, for a URL with the name of the argument that needs SDL.
    """
    if is_url(source):
        raise ContractError(
            f"{argument}: must be an SDL file, because introspection does not show which roles may read a field"
            " (pass a file)"
        )
    return read_schema(source)


def is_url(source: str) -> bool:
    """Return whether the schema of a contract check is read from a gateway, not from a file."""
    return source.startswith(("http://", "https://"))


def require_coordinate(schema: GraphQLSchema, coordinate: str) -> str:
    """Return a coordinate of the contract check's schema. Raises ContractError if the schema lacks it."""
    try:
        found = resolve_schema_coordinate(schema, coordinate)
    except (GraphQLError, TypeError, ValueError):  # its syntax, or an unknown type
        found = None
    if found is None:
        raise ContractError(f"{coordinate}: is not in the schema (write Type.field, such as TrainableContent.text)")
    return coordinate


def require_role(schema: GraphQLSchema, role: str) -> str:
    """Return a role of the contract check's schema, as it spells the role. Raises ContractError if it has none."""
    governed = schema.get_directive("governed")
    kind = get_named_type(governed.args["readers"].type) if governed and "readers" in governed.args else None
    if not isinstance(kind, GraphQLEnumType):
        raise ContractError(
            "--role: the schema does not declare @governed (pass the SDL file that grounds schema export prints)"
        )
    if role.upper() not in kind.values:
        raise ContractError(f"--role: {role!r} is not a role of the schema (use one of {', '.join(kind.values)})")
    return role.upper()


def _document_files(folder: Path) -> Iterator[Path]:
    """List a consumer's .graphql files in a folder, except those in hidden folders and installed packages."""
    for name, folders, files in os.walk(folder):
        parent = Path(name)
        folders[:] = [each for each in folders if not _is_foreign(parent / each)]
        yield from (parent / each for each in files if Path(each).suffix in DOCUMENT_SUFFIXES)


def _is_foreign(folder: Path) -> bool:
    """Return whether a consumer's folder is hidden or contains installed packages, such as a virtual environment."""
    return folder.name.startswith(".") or folder.name in INSTALLED_FOLDERS or (folder / "pyvenv.cfg").exists()


def _file_operations(file: Path, client: str | None, *, sdl_allowed: bool) -> list[Operation]:
    """Read the consumer's operations in a file. Raises ContractError."""
    consumer = client or file.resolve().parent.name
    found: list[Operation] = []
    for text in _manifest_texts(file) if file.suffix == MANIFEST_SUFFIX else [_read_text(file)]:
        try:
            document = parse(text)
        except GraphQLError as error:
            raise ContractError(f"{file}{_position(error)}: cannot be parsed, {error.message} (correct it)") from None
        operations = split_operations(document, consumer, str(file), file.stem, text)
        if not operations and not (sdl_allowed and all(_is_sdl(each.kind) for each in document.definitions)):
            raise ContractError(
                f"{file}: contains no operation (if the file contains only fragments, move them into "
                f"the documents that use them)"
            )
        _reject_repeated_names(file, document)
        found += operations
    return found


def _manifest_texts(file: Path) -> list[str]:
    """Read a consumer's documents from graphql-codegen's manifest, whose ids must be the gateway's."""
    try:
        documents = json.loads(_read_text(file))
    except ValueError:
        raise ContractError(f"{file}: is not JSON (pass .graphql files, or the manifest of graphql-codegen)") from None
    if not isinstance(documents, dict) or not all(isinstance(text, str) for text in documents.values()):
        raise ContractError(
            f'{file}: must be a JSON object that contains documents (write {{"sha256:<hex>": "<document>", ...}})'
        )
    for name, text in documents.items():
        if name != document_id(text):
            todo = 'set presetConfig.persistedDocuments.hashAlgorithm: "sha256" in the configuration of graphql-codegen'
            raise ContractError(f"{file}: each id must be sha256: followed by the SHA-256 of its document ({todo})")
    return list(documents.values())


def _reject_repeated_names(file: Path, document: DocumentNode) -> None:
    """Refuse two operations of the same name in a consumer's document: no request could select one."""
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    names = Counter(each.name.value for each in operations if each.name)
    for name, count in names.items():
        if count > 1:
            raise ContractError(f"{file}: contains {count} operations named {name} (rename all but one)")


def _reject_same_name_in_folder(operations: Iterable[Operation]) -> None:
    """Refuse two operations of the same name in a consumer's folder: no report could tell them apart."""
    files: dict[tuple[Path, str], str] = {}
    for each in operations:
        first = files.setdefault((Path(each.file).resolve().parent, each.name), each.file)
        if Path(first).resolve() != Path(each.file).resolve():
            raise ContractError(f"{each.file}: has an operation {each.name} that {first} also has (rename one of them)")


def _is_sdl(kind: str) -> bool:
    """Return whether a definition in a consumer's file belongs to a schema."""
    return kind not in ("operation_definition", "fragment_definition")


def _read_text(file: Path) -> str:
    """Read the text of a consumer's file. Raises ContractError."""
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise ContractError(f"{file}: cannot be read, {error.strerror} (pass a readable file)") from None
    except UnicodeDecodeError:
        raise ContractError(f"{file}: is not UTF-8 (save it as UTF-8)") from None


def _introspect(url: str) -> GraphQLSchema:
    """Read a gateway's schema for a contract check; follow no redirects, because the token would be sent along."""
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = get_introspection_query(input_value_deprecation=True)
    try:
        answer = httpx.post(
            url, json={"query": query}, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ContractError(
            f"--schema: the gateway cannot be reached, {type(error).__name__} (check the URL)"
        ) from None
    if not answer.is_success:
        refused = answer.status_code in (401, 403)
        todo = (
            f"set {TOKEN_VARIABLE} to a token that the gateway accepts"
            if refused
            else "check that the URL ends in /graphql"
        )
        raise ContractError(f"--schema: the gateway answered with status {answer.status_code} ({todo})")
    try:
        return build_client_schema(answer.json()["data"])
    except (ValueError, TypeError, KeyError, GraphQLError):
        todo = "check the URL, or pass an SDL file if GROUNDS_INTROSPECTION is off"
        raise ContractError(f"--schema: the gateway does not return its schema ({todo})") from None


def _position(error: GraphQLError) -> str:
    """Write the line and column of an error in a consumer's file."""
    return f":{error.locations[0].line}:{error.locations[0].column}" if error.locations else ""
