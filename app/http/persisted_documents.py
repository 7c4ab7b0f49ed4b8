"""Persisted documents: read the trusted documents and their SHA-256 from one file when the server starts.

Nothing that a client sends is ever added to them. How a request names one stands in `app.http.graphql`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
from graphql import GraphQLError, parse, specified_rules
from strawberry.extensions import AddValidationRules
from strawberry.schema.schema import validate_document

from app.http.graphql import Document, Documents, describe_document, read_document
from app.settings import SettingsError
from grounds_client.documents import document_id
from grounds_client.limits import limit_errors
from schema.actor import Role
from schema.build import GatewaySchema

_IDENTIFIER: Final = re.compile(r"sha256:[0-9a-f]{64}")


def open_documents(
    file: Path | None, only: frozenset[Role], schema: GatewaySchema, own: Iterable[str] = ()
) -> Documents:
    """Read the file of documents that /graphql trusts; the gateway's `own` are trusted as well.

    Raises SettingsError with a line for each that is not what its key says, or that the schema could not execute.
    """
    trusted = {document_id(text): read_document(text) for text in own}
    faults: list[str] = []
    for number, (key, text) in enumerate(read_manifest(file) if file else (), 1):
        try:
            trusted[key] = _check_trusted(key, text, schema)
        except ValueError as error:
            # A key that is no identifier may be a document's text, and is not quoted.
            name = key if _IDENTIFIER.fullmatch(key) else f"entry {number}"
            faults.append(f"GROUNDS_DOCUMENTS: {name} {error}")
    if faults:
        raise SettingsError("\n".join(faults))
    return Documents(trusted, only)


def read_manifest(file: Path) -> Iterator[tuple[str, Any]]:
    """Read the entries of a manifest of persisted documents. Raises SettingsError for a file that is no manifest."""
    try:
        manifest = orjson.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"GROUNDS_DOCUMENTS: cannot read {file}, {error.strerror} (name a readable JSON file)"
        ) from None
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"GROUNDS_DOCUMENTS: {file} is not valid JSON at {place} (correct it)") from None
    if not isinstance(manifest, dict):
        raise SettingsError(
            f'GROUNDS_DOCUMENTS: {file} must be an object (write {{"sha256:<hex>": "<document>", ...}})'
        )
    yield from manifest.items()


def _check_trusted(key: str, text: Any, schema: GatewaySchema) -> Document:
    """Parse a persisted document; raise ValueError, which quotes nothing of it, when it cannot be trusted."""
    if not isinstance(text, str):
        raise ValueError("must be a string (write the document as a string)")
    if key != document_id(text):
        raise ValueError("is not the SHA-256 of its document (restore the document, or compute the key again)")
    try:
        parsed = parse(text)
    except GraphQLError as error:
        raise ValueError(
            f"cannot be parsed{_error_place(error)} (correct the document, and compute the key again)"
        ) from None
    # What execution validates by: see schema.execution.operations and strawberry.
    added = (each.validation_rules for each in schema.get_extensions() if isinstance(each, AddValidationRules))
    rules = (*specified_rules, *(rule for rules in added for rule in rules))
    errors = [*limit_errors(parsed)] or validate_document(schema.core, parsed, rules)
    if errors:
        raise ValueError(
            f"is not valid for this schema{_error_place(errors[0])} (send the document as a query to see the reason)"
        )
    document = describe_document(text, parsed)
    if not document.operations:
        raise ValueError("contains no operation (copy fragments into the documents that use them)")
    return document


def _error_place(error: GraphQLError) -> str:
    """Write the line and column of a persisted document's error."""
    return f" at line {error.locations[0].line}, column {error.locations[0].column}" if error.locations else ""
