"""The document that a request means: its own text within limits, or one that the operator trusts, by its SHA-256.

Trusted documents are those of one file, read at the start; nothing that a client sends is ever added to them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, parse, specified_rules
from strawberry.extensions import AddValidationRules
from strawberry.schema.schema import validate_document

from app.edges import Refused
from app.settings import SettingsError
from schema.actor import Role
from schema.build import GatewaySchema
from schema.contracts import identify
from schema.errors import BadInput, Forbidden
from schema.validation import parse_once

SOURCE_LIMIT: Final = 16 * 1024
TOKEN_LIMIT: Final = 1000
NAMES: Final = 10
NAME: Final = 60

_IDENTIFIER: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Document:
    """Hold a document: its text, and of which kind its operations are, by name; None is the one without a name."""

    text: str
    operations: Mapping[str | None, OperationType]

    def operation(self, name: str | None) -> OperationType:
        """Tell what kind of operation is asked for (GetOperation of the GraphQL specification).

        Raises GraphQLError where no one operation is meant.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            found = _listed(each or "one without a name" for each in self.operations) or "none"
            raise GraphQLError(
                f"operationName: is missing, and the document has not one operation but {found} (name one)"
            )
        if name not in self.operations:
            known = _listed(each for each in self.operations if each) or "none with a name"
            raise GraphQLError(f"operationName: is no operation of the document, which has {known} (name one of them)")
        return self.operations[name]


class Documents:
    """Find the document that a request means; the roles of `only` are kept to the trusted ones."""

    def __init__(self, trusted: Mapping[str, Document], only: frozenset[Role]) -> None:
        self._trusted = trusted
        self._texts = frozenset(document.text for document in trusted.values())
        self._only = only

    def find(self, query: str | None, identifier: str | None, role: Role) -> Document:
        """Find it by the text, or by the identifier where there is no text.

        Raises GraphQLError for one that cannot be parsed, is not known, or is not for the role, and Refused where text
        and identifier disagree.
        """
        if query is None:
            document = self._trusted.get(identifier or "")
            if document is None:
                raise BadInput(
                    "documentId: is no trusted document of this gateway (send another, or have its operator add it)"
                )
            return document
        if identifier is not None and identifier != identify(query):
            raise Refused(400, "documentId: is not that of query (send one of them)")
        if role in self._only and query not in self._texts:
            raise Forbidden(f"query: is no trusted document, and {role} may send no other (send one's documentId)")
        return read(query)


@lru_cache(maxsize=256)
def read(text: str) -> Document:
    """Read a document that a client wrote. Raises GraphQLError when it cannot be parsed, or is too long."""
    return _document(text, parse_once(text, max_tokens=TOKEN_LIMIT))


def query_of(asked: Mapping[str, Any]) -> str | None:
    """Take the text out of a request; raise Refused for what is none."""
    query = asked.get("query")
    if query is not None and not isinstance(query, str):
        raise Refused(400, "query: is not a string (send the document as one)")
    if query and len(query) > SOURCE_LIMIT:
        raise Refused(400, f"query: is longer than {SOURCE_LIMIT} characters (split it)")
    return query or None


def identifier_of(asked: Mapping[str, Any]) -> str | None:
    """Take the identifier out of a request: `documentId`, or what Apollo's clients write into the extensions."""
    identifier = asked.get("documentId")
    if identifier is not None and not isinstance(identifier, str):
        raise Refused(400, "documentId: is not a string (send sha256: and 64 hexadecimal digits)")
    persisted = (asked.get("extensions") or {}).get("persistedQuery")
    if persisted is None:
        return identifier or None
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(digest, str) or persisted.get("version") != 1:
        raise Refused(400, 'extensions.persistedQuery: is not {"version": 1, "sha256Hash": "<hex>"} (send that)')
    if identifier and identifier != f"sha256:{digest}":
        raise Refused(400, "documentId: is not that of extensions.persistedQuery (send one of them)")
    return f"sha256:{digest}"


def open_documents(
    file: Path | None, only: frozenset[Role], schema: GatewaySchema, own: Iterable[str] = ()
) -> Documents:
    """Read the trusted documents of a file, `{"sha256:<hex>": "<text>"}`; the gateway's `own` are trusted as well.

    Raises SettingsError with a line for each that is not what its key says, or that the schema could not execute.
    """
    trusted = {identify(text): read(text) for text in own}
    faults: list[str] = []
    for number, (key, text) in enumerate(entries(file) if file else (), 1):
        try:
            trusted[key] = _checked(key, text, schema)
        except ValueError as error:
            # A key that is no identifier may be a document's text, and is not quoted.
            name = key if _IDENTIFIER.fullmatch(key) else f"entry {number}"
            faults.append(f"GROUNDS_DOCUMENTS: {name} {error}")
    if faults:
        raise SettingsError("\n".join(faults))
    return Documents(trusted, only)


def entries(file: Path) -> Iterator[tuple[str, Any]]:
    """Read the entries of a manifest, as they are written. Raises SettingsError for a file that is no manifest."""
    try:
        manifest = orjson.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"GROUNDS_DOCUMENTS: cannot read {file}: {error.strerror} (name a JSON file)") from None
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"GROUNDS_DOCUMENTS: {file} is not JSON at {place} (mend it)") from None
    if not isinstance(manifest, dict):
        raise SettingsError(f'GROUNDS_DOCUMENTS: {file} is no object (write {{"sha256:<hex>": "<document>", ...}})')
    yield from manifest.items()


def _checked(key: str, text: Any, schema: GatewaySchema) -> Document:
    """Read a trusted document; raise ValueError, which quotes nothing of it, when it cannot be trusted or executed."""
    if not isinstance(text, str):
        raise ValueError("is no text (write the document as a string)")
    if key != identify(text):
        raise ValueError("is not the SHA-256 of its document (see which of them changed, and make the key anew)")
    try:
        parsed = parse(text)
    except GraphQLError as error:
        raise ValueError(f"cannot be parsed{_place(error)} (mend the document, and make its key anew)") from None
    # What execution validates by: see GatewaySchema and strawberry.
    added = (each.validation_rules for each in schema.get_extensions() if isinstance(each, AddValidationRules))
    errors = validate_document(schema.core, parsed, (*specified_rules, *(rule for rules in added for rule in rules)))
    if errors:
        raise ValueError(f"is not valid for this schema{_place(errors[0])} (send it as a query to read why)")
    document = _document(text, parsed)
    if not document.operations:
        raise ValueError("has no operation (fragments go into the documents that use them)")
    return document


def _listed(names: Iterable[str]) -> str:
    """Write the first names, shortened: a document may have thousands, and each may be as long as the document."""
    return ", ".join(name if len(name) <= NAME else f"{name[:NAME]}…" for name in islice(names, NAMES))


def _place(error: GraphQLError) -> str:
    return f" at line {error.locations[0].line}, column {error.locations[0].column}" if error.locations else ""


def _document(text: str, parsed: DocumentNode) -> Document:
    operations = (node for node in parsed.definitions if isinstance(node, OperationDefinitionNode))
    return Document(text, {node.name.value if node.name else None: node.operation for node in operations})
