"""The documents of a release by their names, and its manifest, which is signed with the ledger's key."""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.releases.bundle import Bundle, Document, as_json, shard_path
from app.releases.descriptions import conditions_json, croissant, dataset_card, policy_json
from app.releases.records import processing_record, training_summary
from db.connection import Connection
from db.delivery.ledger import signing_key
from db.releases.releases import ReleaseRow, load_release, load_shards, publish_release, removed_items
from schema.context import Context
from schema.relay.ids import IdKind

REMOVED: Final = re.compile(r"removed-([0-9]{1,6})\.0\.0\.parquet")
_SORTED: Final = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z


async def release_document(training: Connection, context: Context, release: ReleaseRow, name: str) -> Document | None:
    """Make a document of the claimed client's release; None where not every shard is written."""
    if not await publish_release(training, release.id):
        return None
    published = await load_release(training, release.id)
    gateway = context.gateway
    policy = await (gateway.policy(published.policies[-1]) if published.policies else gateway.policy_in_force())
    return DOCUMENTS[name](Bundle(context, published, await load_shards(training, release.id), policy))


async def removed_document(training: Connection, context: Context, release: ReleaseRow, major: int) -> Document:
    """List the items that a client received by a release and that were removed from it since a version."""
    from app.releases.parquet import ids_as_parquet

    items = await removed_items(training, release.id, major)
    return ids_as_parquet(context.ids.encode_all(IdKind.TRAINABLE_CONTENT, items)), "application/x-parquet"


def canonical_json(manifest: dict[str, Any]) -> bytes:
    """Write what the signature of a release's manifest covers: its members by their names, without spaces."""
    return orjson.dumps({name: value for name, value in manifest.items() if name != "signature"}, option=_SORTED)


def _manifest(bundle: Bundle) -> Document:
    """Write the manifest of a release, with a signature over its canonical JSON without the signature."""
    release, ids = bundle.release, bundle.context.ids
    key = signing_key(bundle.context.gateway.secret)
    manifest: dict[str, Any] = {
        "id": ids.encode(IdKind.RELEASE, release.id),
        "name": release.name,
        "version": release.version,
        "client": bundle.client,
        "purpose": release.purpose,
        "filter": bundle.stated_filter,
        "startedAt": release.started_at,
        "policyVersions": release.policies,
        "items": release.items,
        "bytes": release.byte_count,
        "shards": [
            {
                "path": shard_path(shard.number),
                "items": shard.item_count,
                "bytes": shard.byte_count,
                "sha256": shard.sha256.hex(),
                "policyVersion": shard.policy,
                "decidedAt": shard.decided_at,
                "receipt": None if shard.receipt is None else ids.encode(IdKind.RECEIPT, shard.receipt),
            }
            for shard in bundle.shards
        ],
        "removed": [f"removed-{major}.0.0.parquet" for major in range(2, release.major + 1)],
        "publicKey": key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
    }
    manifest["signature"] = b64encode(key.sign(canonical_json(manifest))).decode()
    return as_json(manifest)


DOCUMENTS: Final[dict[str, Callable[[Bundle], Document]]] = {
    "manifest.json": _manifest,
    "croissant.json": croissant,
    "README.md": dataset_card,
    "conditions.json": conditions_json,
    "policy.json": policy_json,
    "training-summary.json": training_summary,
    "processing-record.json": processing_record,
}
"""The functions that write the documents of a release, by the name of the document."""
