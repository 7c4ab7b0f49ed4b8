"""What each feature adds to a generated record, and the campaigns of a batch.

What a record is given stays the same over most of its versions, so that mostly one thing changes at a time.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

from tests.promises.oracle import Feature, Features
from tests.support.signal_vectors import VECTORS, signals_of

Facts = dict[str, Any]
BLANK = ["", " ", "\u200b\ufeff", "\u2800\u3164", "\u00ad\U000e0020"]
HTML = ["<p>&nbsp;</p>", "<script>A note</script>", "<!-- A note -->", "<b>A note</b>", "&#8203;", "<img alt='A note'>"]
SOURCES = ["IPTC", "ATPROTO", "ACTIVITYPUB", "CONTENT_SIGNALS"]
MEDIA_KINDS = ["PHOTO", "PHOTO", "VIDEO", "AUDIO"]
OF_ACCOUNTS = ("ActivityPub actor", "org.user-intents.declaration", "community.lexicon.preference.ai")
ACCOUNT_VECTORS = [
    vector
    for vector in VECTORS
    if vector["format"] in OF_ACCOUNTS and vector["id"] != "lex-04"  # of a collection
]


def further(record: Facts, features: Features, random: Random, items: list[str], contacts: list[str]) -> Facts:
    """State what some features add to a record of a world with some items and contacts."""
    steady = Random(f"{record['id']}")
    for feature in sorted(features & _ADDITIONS.keys()):
        chosen = random if random.random() < 0.15 else Random(f"{feature} {steady.random()}")
        add = _ADDITIONS[feature].get(record["record"])
        if add:
            record = record | add(record, chosen, items, contacts)
    return record


Addition = Callable[[Facts, Random, list[str], list[str]], Facts]


def _family(record: Facts, random: Random, items: list[str], _: list[str]) -> Facts:
    """Make a medium of the first item, often, and a caption of it of the next ones."""
    place = items.index(record["id"]) if record["id"] in items else len(items)
    if place == 0 and random.random() < 0.6:
        return {"kind": random.choice(MEDIA_KINDS)}
    if place in (1, 2) and random.random() < 0.6:
        return {"kind": "CAPTION", "parent": items[0]}
    return {}


def _parent(record: Facts, random: Random, items: list[str], _: list[str]) -> Facts:
    """Let an item hang on another, or on itself, so that chains are long and return."""
    if record["kind"] == "CAPTION" and not record["parent"]:
        return {"parent": random.choice(items)}
    return {"parent": random.choice(items[:4])} if random.random() < 0.1 else {}


def _depicted(record: Facts, random: Random, _: list[str], contacts: list[str]) -> Facts:
    if random.random() < 0.7:
        return {}
    named = random.choice([*contacts, contacts[0][:-1] + "f"])
    return {"references": [*record["references"], {"contact": named, "relation": random.choice(["DEPICTED", "TAG"])}]}


def _text(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    return random.choice(
        [
            *({} for _ in range(6)),
            {"text_format": "PLAIN"},
            {"text_format": "HTML"},
            {"text": random.choice(BLANK)},
            {"text": random.choice(HTML), "text_format": random.choice(["HTML", "HTML", None])},
        ]
    )


def _spans(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    ends = [0, 1, len(record["text"] or "")]
    start, end = sorted(random.choices(ends[: 1 + 2 * bool(record["text"])], k=2))
    spans: list[Any] = [None, None, [], [{"start": start, "end": end, "kind": "PERSON"}] if start < end else []]
    return {"personal_spans": random.choice(spans)}


def _source(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    return {"rights": [right | {"source": random.choice(SOURCES)} for right in record["rights"]]}


def _alt(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    return {"media": [medium | {"alt": random.choice([None, "A note"])} for medium in record["media"]]}


def _signals(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    """State what the vectors of signals state, more seldom about an account than about an item."""
    of_account = record["record"] == "account"
    if random.random() < (0.85 if of_account else 0.6):
        return {} if random.random() < 0.5 else {"signals": []}
    vectors = ACCOUNT_VECTORS if of_account else VECTORS
    chosen = random.choices(vectors, k=random.choice([1, 1, 2, 3]))
    seen_at = f"2025-01-{random.choice([2, 3]):02}T03:04:05Z"
    return {"signals": [signal | {"seen_at": seen_at} for vector in chosen for signal in signals_of(vector)]}


def _phone(record: Facts, random: Random, _: list[str], __: list[str]) -> Facts:
    return {"channel": random.choice(["PHONE", record["channel"]])}


_ADDITIONS: Mapping[Feature, Mapping[str, Addition]] = {
    Feature.FAMILIES: {"content": _family},
    Feature.PARENTS: {"content": _parent},
    Feature.CONTACT_REFERENCES: {"content": _depicted},
    Feature.BLANK_TEXT: {"content": _text},
    Feature.PERSONAL_SPANS: {"content": _spans},
    Feature.RIGHTS_SOURCES: {"content": _source},
    Feature.MEDIA_ALT: {"content": _alt},
    Feature.PHONE: {"objection": _phone},
    Feature.SIGNALS: {"account": _signals, "content": _signals},
}


def campaigns(policy: Facts, random: Random, now: datetime) -> list[bytes]:
    """State what people were told: one campaign told of all of a policy, the others of parts, one in two versions."""
    everything = [_as_told(policy["purposes"], ground) for ground in policy["grounds"].values()]
    generative = [told | {"purposes": ["GENAI_TRAINING"]} for told in everything]
    parts = random.sample(everything, max(1, len(everything) - 1))
    fewer = [told | {"kinds": told["kinds"][:1], "products": told["products"][:2]} for told in everything]
    versions = [
        ("2025-03", everything, 300),
        ("2025-12", generative, 200),
        ("2025-12", random.choice([fewer, parts, everything]), random.choice([150, 250])),
        ("2026-01", everything, 200),
        ("2027-01", random.choice([fewer, parts]), 200),
    ]
    lines = [_campaign(name, told, now - timedelta(days=days)) for name, told, days in versions]
    if random.random() < 0.3:
        lines.append(_campaign("2027-01", [{"purposes": None}], now - timedelta(days=100)))
    return lines


def _as_told(purposes: list[str], ground: Facts) -> Facts:
    return {"purposes": purposes, "kinds": ground["kinds"], "products": ground["products"]}


def _campaign(name: str, told: list[Facts], observed_at: datetime) -> bytes:
    texts = {"en": sha256(name.encode()).hexdigest()}
    stated = {"record": "campaign", "id": name, "told": told, "texts": texts, "observed_at": observed_at.isoformat()}
    return json.dumps(stated).encode()
