"""The manifest of trusted documents as `grounds documents register` writes it, for `GROUNDS_DOCUMENTS`."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from app.contract import ContractError, read_operations
from app.contract_report import told
from app.documents import entries, open_documents
from schema.actor import CLIENT_NAME
from schema.build import build_schema
from schema.contracts import Verdict, check, identify


def register(place: Path, client: str, manifest: Path) -> Mapping[str, str]:
    """Merge the documents of a folder into a manifest of trusted documents; give their operations' names, by id.

    The folder may be the manifest of graphql-codegen instead. The file is replaced in one step, once the whole of it is
    one that the server would serve. Raises ContractError for documents of which one would fail, and SettingsError for a
    manifest that is not sound.
    """
    if not CLIENT_NAME.fullmatch(client):
        raise ContractError(f"--client: {client!r} is no client's name (use letters, digits, dots, - and _)")
    schema = build_schema()
    texts: dict[str, str] = {}
    names: dict[str, str] = {}
    faults: list[str] = []
    for operation in read_operations([place], client):
        faults += [
            f"{operation.file}: {operation.name}: {told(each)}"
            for each in check(schema.core, operation)
            if each.verdict is not Verdict.DEPRECATED
        ]
        identifier = identify(operation.text)
        texts[identifier] = operation.text
        names[identifier] = f"{names[identifier]}, {operation.name}" if identifier in names else operation.name
    if faults:
        raise ContractError("\n".join(faults))
    kept = dict(entries(manifest)) if manifest.exists() else {}
    manifest = manifest.resolve()
    written = manifest.with_name(f".{manifest.name}.{os.getpid()}")
    try:
        written.write_bytes(orjson.dumps(kept | texts, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        open_documents(written, frozenset(), schema)
        written.replace(manifest)
    except OSError as error:
        raise ContractError(f"{manifest}: cannot be written: {error.strerror} (see its folder)") from None
    finally:
        written.unlink(missing_ok=True)
    return names
