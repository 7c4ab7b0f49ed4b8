"""Training runs: a client records them. Only officers, auditors and the authors of the used items can read them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import fact
from tests.support.gateway import TestGateway
from tests.support.releases import every_file, publish, start, until_written
from tests.support.retractions import deliver

RECORD = """mutation R(
  $model: String!, $at: DateTime!, $purpose: String!, $releases: [ReleaseInput!], $receipts: [ReceiptInterval!]) {
  recordRun(model: $model, startedAt: $at, purpose: $purpose, releases: $releases, receipts: $receipts) {
    client model releases { name version isSuperseded } receiptIntervals } }"""
RUNS = "{ trainingRuns(first: 9) { nodes { client model releases { name version isSuperseded } receiptIntervals } } }"
RECIPIENTS = """query C($name: ID!) { content(id: $name) {
  recipients { client models { model release version startedAt } } } }"""
OWN = "{ viewer { deliveries { client models { model contentIds } } } }"
AT = "2026-03-01T00:00:00Z"


async def record(gateway: TestGateway, model: str, client: str = "client", **named: Any) -> Any:
    variables = {"model": model, "at": AT, "purpose": "GENAI_TRAINING"} | named
    return (await gateway.ask(Role.TRAINING_CLIENT, RECORD, variables, client=client))["recordRun"]


async def models_of(gateway: TestGateway, item: str) -> dict[str, list[tuple[str, str | None]]]:
    found = (await gateway.ask(Role.PRIVACY_OFFICER, RECIPIENTS, {"name": item}))["content"]["recipients"]
    return {each["client"]: [(m["model"], m["version"]) for m in each["models"]] for each in found}


async def test_a_run_is_shown_with_exactly_what_it_used(gateway: TestGateway) -> None:
    names = await deliver(gateway, 3, "pages", "silent")
    id = await start(gateway)
    await until_written(gateway, id)
    await publish(gateway, id)
    await every_file(gateway, id)
    recorded = await record(gateway, "first", releases=[{"id": id}])
    assert recorded["releases"] == [{"name": "2026-06", "version": "1.0.0", "isSuperseded": False}]
    await gateway.ingest([fact("content", 9, id=names[0], audience="FRIENDS")])
    await every_file(gateway, id)
    await record(gateway, "second", releases=[{"id": id}])
    page = await gateway.pull(1000, client="pages")
    receipt = page[0]["reason"]["receipt"]
    await record(gateway, "third", client="pages", receipts=[{"first": receipt, "last": receipt}])
    assert await models_of(gateway, names[0]) == {"client": [("first", "1.0.0")], "pages": [], "silent": []}
    assert await models_of(gateway, names[1]) == {
        "client": [("first", "1.0.0"), ("second", "2.0.0")],
        "pages": [("third", None)],
        "silent": [],
    }
    seen = (await gateway.ask(Role.AUDITOR, RUNS))["trainingRuns"]["nodes"]
    assert [(each["client"], each["model"], each["receiptIntervals"]) for each in seen] == [
        ("client", "first", 0),
        ("client", "second", 0),
        ("pages", "third", 1),
    ]
    assert [each["releases"][0]["isSuperseded"] for each in seen[:2]] == [True, False]
    own = (await gateway.ask(Role.TRAINING_CLIENT, RUNS, client="pages"))["trainingRuns"]["nodes"]
    assert [each["model"] for each in own] == ["third"]


async def test_a_run_that_is_recorded_again_is_the_same_run(gateway: TestGateway) -> None:
    """As a client does whose answer was lost: at once and together, and after the release has changed."""
    names = await deliver(gateway, 2, "pages")
    id = await start(gateway)
    await until_written(gateway, id)
    await publish(gateway, id)
    await every_file(gateway, id)
    receipt = (await gateway.pull(1000, client="pages"))[0]["reason"]["receipt"]
    first = await asyncio.gather(*(record(gateway, "m", releases=[{"id": id}]) for _ in range(4)))
    await record(gateway, "m", client="pages", receipts=[{"first": receipt, "last": receipt}])
    await gateway.ingest([fact("content", 9, id=names[0], audience="FRIENDS")])
    await every_file(gateway, id)
    again = await record(gateway, "m", releases=[{"id": id}])
    assert {run["releases"][0]["version"] for run in (again, *first)} == {"1.0.0"}
    await record(gateway, "m", client="pages", receipts=[{"first": receipt, "last": receipt}])
    assert gateway.execute("SELECT count(*) FROM grounds.training_run") == [(2,)]
    assert gateway.execute("SELECT count(*) FROM grounds.training_run_input") == [(2,)]
    await record(gateway, "m", releases=[{"id": id, "version": "2.0.0"}])
    await record(gateway, "other", releases=[{"id": id}])
    assert gateway.execute("SELECT count(*) FROM grounds.training_run") == [(4,)]


async def test_a_person_reads_of_the_own_items_alone_and_an_anonymous_answer_says_nothing(gateway: TestGateway) -> None:
    await deliver(gateway, 2, "silent")
    await gateway.ingest([fact("account", id="other"), fact("notice", id="to other", account="other")])
    id = await start(gateway)
    await until_written(gateway, id)
    await every_file(gateway, id)
    await record(gateway, "m-7b", releases=[{"id": id}])
    deliveries = (await gateway.ask(Role.DATA_SUBJECT, OWN, subject="author"))["viewer"]["deliveries"]
    models = {each["client"]: [(m["model"], len(m["contentIds"])) for m in each["models"]] for each in deliveries}
    assert models == {"client": [("m-7b", 2)], "silent": []}
    assert (await gateway.ask(Role.DATA_SUBJECT, OWN, subject="other"))["viewer"]["deliveries"] == []
    headers = {"Authorization": f"Bearer {gateway.token(Role.DATA_SUBJECT, subject='author')}"}
    page = (await gateway.client.get("/me?lang=en", headers=headers)).text
    assert "client says that it used this item for the model m-7b." in page
    assert "silent has not said for which model it used this item." in page
    form = {"account": "author", "scope": "ALL", "email": "author@example.org"}
    assert "m-7b" not in (await gateway.client.post("/object", data=form)).text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"releases": []}, "must have 1 to 1000 entries together"),
        ({"model": ""}, "model: must be 1 to 200"),
        ({"purpose": "ADVERTISING"}, "purpose: must be GENAI_TRAINING"),
        ({"at": "2999-01-01T00:00:00Z"}, "startedAt: must be a time in the past"),
        ({"releases": [{"id": "unknown"}]}, "releases: must contain ids that this client received"),
        ({"releases": [{"id": "ID", "version": "1"}]}, "a version must have the form 1.0.0"),
        ({"releases": [{"id": "ID", "version": "9.0.0"}]}, "must name only what this client received"),
        ({}, "must name only what this client received"),
        ({"client": "another"}, "releases: must contain ids that this client received"),
    ],
)
async def test_what_cannot_be_a_run_is_refused(gateway: TestGateway, changed: dict[str, Any], said: str) -> None:
    id = await start(gateway)
    variables = {"model": "m", "at": AT, "purpose": "GENAI_TRAINING", "releases": [{"id": id}]} | changed
    for each in variables["releases"]:
        each["id"] = each["id"].replace("ID", id)
    claims = {"client": variables.pop("client", "client")}
    (error,) = (await gateway.post(Role.TRAINING_CLIENT, RECORD, variables, **claims)).json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert said in error["message"]
    assert datetime.now(UTC) > datetime.fromisoformat(AT)
