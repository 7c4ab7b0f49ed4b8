"""The manifest of trusted documents, which `grounds documents register` writes and `GROUNDS_DOCUMENTS` names."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from app.http.persisted_documents import open_documents, read_manifest
from grounds_client.contract.compatibility import Verdict, check_operation
from grounds_client.contract.loader import ContractError, read_operations
from grounds_client.contract.report import finding_line
from grounds_client.documents import document_id
from schema.actor import CLIENT_NAME
from schema.build import build_schema


def register_documents(place: Path, client: str, manifest: Path) -> Mapping[str, str]:
    """Merge a folder's documents into the manifest of `grounds documents register`; return their names by id.

    `place` can be the manifest of graphql-codegen instead of a folder. The new manifest is checked as the server checks
    it, and replaces the old manifest in one step. Raises ContractError if a document would fail, SettingsError if the
    manifest is not valid.
    """
    if not CLIENT_NAME.fullmatch(client):
        raise ContractError(f"--client: {client!r} is not a valid client name (use letters, digits, dots, - and _)")
    schema = build_schema()
    texts: dict[str, str] = {}
    names: dict[str, str] = {}
    faults: list[str] = []
    for operation in read_operations([place], client):
        faults += [
            f"{operation.file}: {operation.name}: {finding_line(each)}"
            for each in check_operation(schema.core, operation)
            if each.verdict is not Verdict.DEPRECATED
        ]
        identifier = document_id(operation.text)
        texts[identifier] = operation.text
        names[identifier] = f"{names[identifier]}, {operation.name}" if identifier in names else operation.name
    if faults:
        raise ContractError("\n".join(faults))
    kept = dict(read_manifest(manifest)) if manifest.exists() else {}
    manifest = manifest.resolve()
    written = manifest.with_name(f".{manifest.name}.{os.getpid()}")
    try:
        written.write_bytes(orjson.dumps(kept | texts, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        open_documents(written, frozenset(), schema)
        written.replace(manifest)
    except OSError as error:
        raise ContractError(
            f"{manifest}: cannot be written, {error.strerror} (check the permissions of the folder)"
        ) from None
    finally:
        written.unlink(missing_ok=True)
    return names
