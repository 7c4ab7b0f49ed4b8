"""A small world that changes at random, a commit at a time: facts, decisions of officers, rules, and the time."""

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any

from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.facts import DAY, HASH, NOW, SCANS, fact
from tests.support.gateway import TestGateway

ACCOUNTS, ITEMS = 8, 40
CONTACTS = [HASH, "b" * 64]
PURPOSES = ["GENAI_TRAINING", "ADVERTISING"]
PRODUCTS = ["FACEBOOK", "INSTAGRAM"]
KINDS = ["POST", "PHOTO", "CAPTION", "COMMENT"]
POLICY = DEFAULT_POLICY | {
    "version": "changing-1",
    "purposes": PURPOSES,
    "grounds": {
        "PUBLIC_CONTENT": {"kinds": KINDS, "products": PRODUCTS},
        "AI_INTERACTION": {"kinds": ["AI_INTERACTION"], "products": PRODUCTS},
        "OPTED_IN": {"kinds": ["VIDEO"], "products": PRODUCTS},
    },
}
OTHER_POLICIES = [
    POLICY | {"version": "changing-2", "notice": {"epoch": "2025-04", "period_days": 20}},
    POLICY | {"version": "changing-3", "regions": ["IE", "FR"]},
    POLICY,
]
TOLD = [{"purposes": PURPOSES, "kinds": [*KINDS, "AI_INTERACTION", "VIDEO"], "products": PRODUCTS}]
NARROW = [{"purposes": PURPOSES[:1], "kinds": KINDS, "products": PRODUCTS}]
WINDOW = {"from": "2025-12-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
SIGNAL = {
    "standard": "http-header X-Robots-Tag",
    "value": "noai",
    "location": "https://example.org/",
    "path": None,
    "seen_at": "2026-01-01T00:00:00Z",
}
FLAGGED = [SCANS | {name: "FLAGGED"} for name in SCANS]
# The values that a field can take; the first is as it mostly is.
FIELDS: dict[str, dict[str, list[Any]]] = {
    "account": {
        "status": ["ACTIVE", "ACTIVE", "SUSPENDED"],
        "status_since": ["2020-01-01T00:00:00Z", "2026-06-20T00:00:00Z"],
        "country": ["IE", "IE", "FR", "US", None],
        "kind": ["PERSONAL", "PERSONAL", "PAGE"],
        "born_on": ["1990-01-01", "1990-01-01", "2008-07-01", "2012-01-01", None],
        "compromised": [[], [], [WINDOW]],
        "person": [None, "p-1", "p-2"],
        "contacts": [[], CONTACTS[:1], CONTACTS],
        "product": ["FACEBOOK", "INSTAGRAM"],
        "signals": [[], [], [SIGNAL]],
    },
    "content": {
        "deleted_at": [None, None, None, "2026-05-01T00:00:00Z"],
        "audience": ["PUBLIC", "PUBLIC", "PUBLIC", "FRIENDS"],
        "audience_since": ["2026-01-01T00:00:00Z", "2026-06-20T00:00:00Z"],
        "edited_at": [None, "2026-05-20T00:00:00Z"],
        "text": ["A heron stood by the weir.", "A grebe dived."],
        "language": ["en", "de-AT", None],
        "rights": [[], [], [{"source": "C2PA", "train_ai": "n"}]],
        "scans": [SCANS, SCANS, SCANS, *FLAGGED],
        "kind": ["POST", "POST", "PHOTO", "CAPTION", "COMMENT", "AI_INTERACTION", "VIDEO"],
        "references": [
            [],
            [],
            [{"account": "a-1", "relation": "TAG"}],
            [{"account": "a-2", "relation": "QUOTE"}],
            [{"contact": HASH, "relation": "DEPICTED"}],
        ],
        "parent": [None, "c-0", "c-1", "c-2", "c-3", "c-4"],
        "created_at": ["2026-01-01T00:00:00Z", "2026-06-20T00:00:00Z"],
    },
    "notice": {
        "epoch": ["2025-04", "2026-01"],
        "delivered_at": ["2025-04-14T09:59:00Z", "2026-05-10T00:00:00Z", None],
        "bounced_at": [None, None, "2025-04-14T10:00:00Z"],
    },
    "objection": {
        "scope": ["ALL", "PUBLIC_CONTENT", "AI_INTERACTIONS"],
        "withdrawn_at": [None, "2026-05-20T00:00:00Z"],
    },
    "consent": {"withdrawn_at": [None, "2026-05-20T00:00:00Z"]},
}


class ChangingWorld:
    """A world of a few accounts and items, as it was last stated, and its next random change."""

    def __init__(self, gateway: TestGateway, seed: int) -> None:
        self.gateway, self.random = gateway, Random(seed)
        self.now = NOW + 30 * DAY
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.kinds: set[str] = set()
        self._stated = 0

    async def begin(self) -> None:
        """Load the world, of which most items are permitted."""
        self.gateway.set_clock(self.now - 60 * DAY)
        self.gateway.execute("UPDATE grounds.campaign SET told = %s WHERE platform_id = '2025-04'", _uses(TOLD))
        await self.gateway.ingest([self._told("2026-01", TOLD)])
        activate_policy(self.gateway.database_url, parse_policy(json.dumps(POLICY)))
        lines = [self._new("account", f"a-{number}") for number in range(ACCOUNTS)]
        lines += [self._new("notice", f"n-{number}", account=f"a-{number}") for number in range(ACCOUNTS)]
        lines += [self._new("consent", f"k-{number}", account=f"a-{number}") for number in range(ACCOUNTS)]
        lines += [self._item(number) for number in range(ITEMS)]
        answer = await self.gateway.ingest(lines)
        assert answer["total"]["rejected"] == 0, answer["rejects"][:2]
        self.gateway.set_clock(self.now)

    async def change(self) -> str:
        """Change something, in one commit; say what."""
        kind = self.random.choices(
            [
                "a field",
                "an arrival",
                "an objection",
                "a bad line",
                "a hold",
                "a clock",
                "a campaign",
                "a policy",
                "a purge",
            ],
            [50, 8, 8, 4, 6, 14, 2, 3, 1],
        )[0]
        made: str = await getattr(self, "_" + kind.partition(" ")[2].replace(" ", "_"))()
        self.kinds.add(made)
        return made

    async def change_facts(self) -> str:
        """Change a fact, in one commit; say what."""
        made = await self._field()
        self.kinds.add(made)
        return made

    async def _field(self) -> str:
        record, name = self.random.choice(
            [key for key in self.records if self.random.random() < 0.5] or [("account", "a-0")]
        )
        field = self.random.choice(sorted(FIELDS[record]))
        value = self.random.choice(FIELDS[record][field])
        stated = self.records[record, name] | {field: value}
        if stated.get("kind") == "AI_INTERACTION":
            stated |= {"conversation": "ASSISTANT_ONLY", "audience": None, "audience_since": None, "parent": None}
        elif record == "content":
            stated = {"audience": "PUBLIC", "audience_since": "2026-01-01T00:00:00Z"} | stated
            stated["audience"] = stated["audience"] or "PUBLIC"
            stated.pop("conversation", None)
        await self._load(self._state(record, name, stated))
        return f"{record}.{field}"

    async def _arrival(self) -> str:
        number = len([key for key in self.records if key[0] == "content"])
        await self._load(self._item(number))
        return "an item that arrives"

    async def _objection(self) -> str:
        target = self.random.choice([{"account": "a-1"}, {"account": f"a-{self.random.randrange(ACCOUNTS)}"},
                                     {"contact": HASH}, {"person": "p-1"}])  # fmt: skip
        name = f"o-{len(self.records)}"
        await self._load(self._new("objection", name, received_at="2026-05-01T00:00:00Z", **target))
        return f"an objection by {next(iter(target))}"

    async def _bad_line(self) -> str:
        record, name = self.random.choice([key for key in self.records if key[0] != "objection"])
        await self.gateway.ingest(
            [self._stamp(self.records[record, name] | {"observed_at": None, "id": name, "bad": 1})]
        )
        return f"a bad line of {record}"

    async def _hold(self) -> str:
        scope, value = self.random.choice(
            [("ACCOUNT", "a-1"), ("COUNTRY", "IE"), ("PRODUCT", "INSTAGRAM"), ("GLOBAL", None)]
        )
        lifted = "UPDATE grounds.hold SET lifted_at = grounds.decision_time() WHERE lifted_at IS NULL RETURNING id"
        if self.gateway.execute(lifted):
            return "a hold that is lifted"
        self.gateway.execute(
            "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
            " VALUES (%s, %s, 'An authority', 'A reason', grounds.decision_time())",
            *(scope, value),
        )
        return f"a hold of scope {scope}"

    async def _clock(self) -> str:
        self.now += self.random.choice([timedelta(hours=1), DAY, 8 * DAY, 8 * DAY, 15 * DAY])
        self.gateway.set_clock(self.now)
        return "time"

    async def _campaign(self) -> str:
        epoch, told = self.random.choice([("2026-01", NARROW), (f"2026-02-{len(self.records)}", TOLD)])
        await self.gateway.ingest([self._told(epoch, told)])
        return "a campaign"

    async def _purge(self) -> str:
        self.gateway.execute("SELECT grounds.purge_texts(10)")
        return "a purge"

    async def _policy(self) -> str:
        chosen = self.random.choice(OTHER_POLICIES)
        activate_policy(self.gateway.database_url, parse_policy(json.dumps(chosen)))
        return "a policy"

    async def _load(self, line: dict[str, Any]) -> None:
        await self.gateway.ingest([line])

    def _item(self, number: int) -> dict[str, Any]:
        kind = self.random.choice(["POST", "POST", "PHOTO", "CAPTION", "COMMENT", "AI_INTERACTION", "VIDEO"])
        fields: dict[str, Any] = {"account": f"a-{self.random.randrange(ACCOUNTS)}", "kind": kind}
        if kind in ("CAPTION", "COMMENT"):
            fields["parent"] = f"c-{self.random.randrange(max(number, 1))}"
        if kind == "AI_INTERACTION":
            fields |= {"audience": None, "audience_since": None}
        if self.random.random() < 0.3:
            fields["references"] = self.random.choice(FIELDS["content"]["references"])
        if self.random.random() < 0.1:
            fields["scans"] = self.random.choice(FLAGGED)
        return self._new("content", f"c-{number}", **fields)

    def _new(self, record: str, name: str, **fields: Any) -> dict[str, Any]:
        return self._state(record, name, fact(record, id=name, **fields))

    def _state(self, record: str, name: str, stated: dict[str, Any]) -> dict[str, Any]:
        self.records[record, name] = self._stamp(stated)
        return self.records[record, name]

    def _stamp(self, stated: dict[str, Any]) -> dict[str, Any]:
        self._stated += 1
        at: datetime = NOW - 100 * DAY + timedelta(seconds=self._stated)
        return stated | {"observed_at": at.isoformat()}

    def _told(self, epoch: str, told: list[dict[str, Any]]) -> dict[str, Any]:
        return self._stamp(fact("campaign", id=epoch, told=told, texts={"en": "c" * 64}))


def _uses(told: list[dict[str, Any]]) -> list[str]:
    return [
        f"{purpose} {kind} {product}"
        for each in told
        for purpose in each["purposes"]
        for kind in each["kinds"]
        for product in each["products"]
    ]
