"""Which model used whose items: what the gateway says is what clients noted themselves, over generated histories."""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from schema.actor import Role
from tests.schema.releases.test_runs import record
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.releases import every_file, publish, rows_of, start, until_written
from tests.support.retractions import alter
from tests.support.shared_server import SharedServer

pytestmark = pytest.mark.database

CLIENTS = ("client", "another", "silent")
LANGUAGES = ("de", "en", "fr", "it")
ITEM_RUNS = """SELECT c.platform_id, r.client, r.model FROM grounds.content c
CROSS JOIN LATERAL grounds.runs_of_items(ARRAY[c.id]) r"""
OWN = "{ viewer { deliveries { client contentIds models { model contentIds } } } }"
IN_RELEASE = "is_in_release(bigint, grounds.training_run_input)"
IN_RECEIPTS = "is_in_receipts(bigint, integer, text, bigint, bigint, integer, bigint, bigint)"
STEPS, MIN_RUNS = 30, 3
Stated = dict[str, set[tuple[str, str]]]


@dataclass
class Notes:
    """What a client noted of what it received: by receipt in order, and by release and version."""

    receipts: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    versions: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)


class History:
    """A platform of people with an item each, clients that take pages and releases, and what they state."""

    def __init__(self, gateway: TestGateway, seed: int, people: int) -> None:
        self.gateway, self.random = gateway, Random(seed)
        self.items = [f"item {number}" for number in range(people)]
        self.notes: defaultdict[str, Notes] = defaultdict(Notes)
        self.releases: defaultdict[str, list[str]] = defaultdict(list)
        self.stated: Stated = defaultdict(set)
        self.runs = 0

    async def load(self) -> None:
        """Load the people; an item's text is its name."""
        people = [f"person of {name}" for name in self.items]
        self.gateway.set_clock(NOW - 60 * DAY)
        await self.gateway.ingest(
            [
                *(fact("account", id=each) for each in people),
                *(fact("notice", id=f"to {each}", account=each) for each in people),
                *(
                    fact("content", id=name, account=f"person of {name}", text=name)
                    | {"language": self.random.choice(LANGUAGES)}
                    for name in self.items
                ),
            ]
        )
        self.gateway.set_clock(NOW)

    async def happen(self, steps: int) -> None:
        """Let things happen at random."""
        for step in range(steps):
            client = self.random.choice(CLIENTS)
            happens = [self.pull, self.start, self.take, self.take, self.change, self.state, self.state]
            await self.random.choice(happens)(client, step)

    async def pull(self, client: str, step: int) -> None:
        """Let a client pull the items of a language."""
        filter = {"languages": [self.random.choice(LANGUAGES)]}
        pages: defaultdict[str, set[str]] = defaultdict(set)
        for item in await self.gateway.pull(self.random.randint(5, 50), filter, client=client):
            pages[item["reason"]["receipt"]].add(item["text"])
        self.notes[client].receipts += [(receipt, frozenset(items)) for receipt, items in pages.items()]

    async def start(self, client: str, step: int) -> None:
        """Let a client start a release."""
        filter = self.random.choice([None, {"languages": self.random.sample(LANGUAGES, 2)}])
        self.releases[client].append(
            await start(self.gateway, f"release-{len(self.releases[client])}", filter, client=client)
        )

    async def take(self, client: str, step: int) -> None:
        """Let a client take every file of a release, and note what the version had."""
        if self.releases[client]:
            id = self.random.choice(self.releases[client])
            await until_written(self.gateway, id, client=client)
            await publish(self.gateway, id, client=client)
            files = await every_file(self.gateway, id, client=client)
            manifest = await publish(self.gateway, id, client=client)
            texts = [frozenset(row["text"] for row in rows_of(file)) for file in files]
            notes = self.notes[client]
            notes.versions[id, manifest["version"]] = frozenset().union(*texts)
            known = {receipt for receipt, _ in notes.receipts}
            for shard in manifest["shards"]:
                items = texts[int(shard["path"].removeprefix("data/train-").removesuffix(".parquet"))]
                if items and shard["receipt"] not in known:
                    notes.receipts.append((shard["receipt"], items))

    async def change(self, client: str, step: int) -> None:
        """Let some people limit the audience of their items."""
        names = self.random.sample(self.items, max(1, len(self.items) // 50))
        limited = [fact("content", 9, id=name, account=f"person of {name}", audience="FRIENDS") for name in names]
        await self.gateway.ingest(limited)

    async def state(self, client: str, step: int) -> None:
        """Let a client that is not silent state what it used: versions, or receipts from one to another."""
        notes = self.notes[client]
        if client == "silent" or not (notes.receipts or notes.versions):
            return
        self.runs += 1
        model, used = f"model-{self.runs}", set[str]()
        if notes.versions and (not notes.receipts or self.random.random() < 0.5):
            id, version = self.random.choice(list(notes.versions))
            used |= notes.versions[id, version]
            await record(self.gateway, model, client, releases=[{"id": id, "version": version}])
        else:
            first, last = sorted(self.random.choices(range(len(notes.receipts)), k=2))
            used = used.union(*(items for _, items in notes.receipts[first : last + 1]))
            interval = {"first": notes.receipts[first][0], "last": notes.receipts[last][0]}
            await record(self.gateway, model, client, receipts=[interval])
        for item in used:
            self.stated[item].add((client, model))


def faults(history: History) -> list[str]:
    """Compare what officers are told of every item with what the clients noted."""
    found: Stated = defaultdict(set)
    history.gateway.execute("SELECT set_config('grounds.examiner', 'AUDITOR', FALSE)")
    for item, client, model in history.gateway.execute(ITEM_RUNS):
        found[item].add((client, model))
    history.gateway.execute("SELECT set_config('grounds.examiner', '', FALSE)")
    return [name for name in history.items if found[name] != history.stated[name]]


async def said_to_person(gateway: TestGateway, name: str) -> set[tuple[str, str]]:
    """Read what a person is told of the own item."""
    data: Any = await gateway.ask(Role.DATA_SUBJECT, OWN, subject=f"person of {name}")
    return {(each["client"], model["model"]) for each in data["viewer"]["deliveries"] for model in each["models"]}


async def lived(gateway: TestGateway, seed: int, people: int) -> History:
    """Let a history happen."""
    history = History(gateway, seed, people)
    await history.load()
    while history.runs < MIN_RUNS:
        await history.happen(STEPS)
    return history


@pytest.mark.parametrize(
    ("people", "seeds"), [(40, range(1)), pytest.param(250, range(10, 16), marks=pytest.mark.long)]
)
async def test_what_is_said_of_items_is_what_clients_noted(
    shared_server: SharedServer, people: int, seeds: range
) -> None:
    for seed in seeds:
        async with shared_server.gateway(release_items=people // 4) as gateway:
            history = await lived(gateway, seed, people)
            assert faults(history) == [], f"seed {seed}"
            for name in history.items:
                assert await said_to_person(gateway, name) == history.stated[name], f"seed {seed}: {name}"


MUTANTS = [
    ("a run used what was handed out later", IN_RELEASE, " AND h.id <= used.last_hand_out", ""),
    ("every hand-out of a file counts", IN_RELEASE, "DISTINCT ON (h.number)", "DISTINCT ON (h.id)"),
    ("what was removed stays", IN_RELEASE, "r.major > h.major", "FALSE"),
    ("only the first and the last receipt of an item count", IN_RECEIPTS, "deliveries > 2", "deliveries < 0"),
]


async def test_a_wrong_look_up_is_noticed(shared_server: SharedServer, killed: Killed) -> None:
    async with shared_server.gateway(release_items=9) as gateway:
        history = History(gateway, 0, 6)
        await history.load()
        await state_by_hand(gateway, history.stated)
        assert faults(history) == []
        for name, function, old, new in MUTANTS:
            ((built,),) = gateway.execute("SELECT pg_get_functiondef(%s::regprocedure)", f"grounds.{function}")
            order = [("ORDER BY h.number, h.id", "ORDER BY h.id")] if "h.id)" in new else []
            alter(gateway, function, (old, new), *order)
            wrong = faults(history)
            killed(name, f"{function.partition('(')[0]}()", f"wrong for {len(wrong)} of 6" if wrong else None)
            gateway.execute(built.replace("%", "%%"))


async def state_by_hand(gateway: TestGateway, stated: Stated) -> None:
    """Let items leave a release before and after its manifest, and without that the client gets the file again."""

    async def limit(name: str) -> None:
        """Let a person limit the audience of the item."""
        await gateway.ingest([fact("content", 9, id=name, account=f"person of {name}", audience="FRIENDS")])

    async def note(model: str, first: int, **used: Any) -> None:
        """Let the client state that it used the items from one on."""
        await record(gateway, model, **used)
        for number in range(first, 6):
            stated[f"item {number}"].add(("client", model))

    receipts = [(await gateway.pull())[0]["reason"]["receipt"] for _ in range(3)]
    await note("pages", 0, receipts=[{"first": receipts[1], "last": receipts[1]}])
    id = await start(gateway)
    await until_written(gateway, id)
    await every_file(gateway, id)
    await limit("item 0")
    await every_file(gateway, id)
    await note("before the manifest", 1, releases=[{"id": id}])
    await publish(gateway, id)
    await limit("item 1")
    await every_file(gateway, id)
    await publish(gateway, id)
    await note("of the first version", 1, releases=[{"id": id, "version": "1.0.0"}])
    await note("of the second version", 2, releases=[{"id": id, "version": "2.0.0"}])
    await limit("item 2")
    gateway.execute("SELECT grounds.strike_everything()")
    assert (await publish(gateway, id))["version"] == "3.0.0"
    await note("of the third version", 3, releases=[{"id": id}])
