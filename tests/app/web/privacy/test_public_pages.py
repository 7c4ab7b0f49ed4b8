"""Everyone reads the public page without a token: what it shows, what it keeps back, how its chain is checked."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.web.privacy import public_data
from db.coverage import noise
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.repository import ROOT

BROWSER = {"Accept": "text/html"}
VERIFICATION = (ROOT / "app/web/privacy/templates/verification.txt").read_text(encoding="utf-8")


async def public_values(gateway: TestGateway) -> dict[str, Any]:
    answer = await gateway.client.get("/transparency.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def hold(gateway: TestGateway, scope: str, value: str | None) -> None:
    await gateway.ask(
        Role.PRIVACY_OFFICER,
        "mutation Hold($scope: HoldScope!, $value: String) {"
        ' openHold(scope: $scope, value: $value, authority: "An authority", reason: "Not for all eyes") { id } }',
        {"scope": scope, "value": value},
    )


async def test_everyone_reads_what_is_used_and_what_is_stopped_but_no_person(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_data, "SECONDS_KEPT", 0.0)
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    empty = await gateway.client.get("/", headers=BROWSER)
    assert empty.status_code == 200
    assert empty.headers["vary"].startswith("Accept, Accept-Language")
    assert "No authority has stopped" in empty.text
    await hold(gateway, "COUNTRY", "GR")
    await hold(gateway, "ACCOUNT", "author")
    gateway.execute(  # as a planted item opens it
        "WITH h AS (INSERT INTO grounds.hold (scope, authority, reason, opened_at)"
        " VALUES ('GLOBAL', 'Grounds', 'A planted item', now()) RETURNING id)"
        " INSERT INTO grounds.canary_incident (item, hold, found_at) SELECT 1, id, now() FROM h"
    )
    data = await public_values(gateway)
    (shown,) = data["publicRecord"]["holds"]
    assert (shown["scope"], shown["value"], shown["authority"]) == ("COUNTRY", "GR", "An authority")
    page = (await gateway.client.get("/", params={"lang": "de"}, headers=BROWSER)).text
    assert "Griechenland: gestoppt von An authority" in page
    for kept_back in ('"author"', "Not for all eyes", "planted", "ACCOUNT"):
        assert kept_back not in json.dumps(data["publicRecord"]["holds"])
    assert data["policy"]["controller"]["dpo"] in page
    assert [each["version"] for each in data["publicRecord"]["policies"]] == ["2025-05-27"]
    assert data["publicRecord"]["campaigns"][0]["epoch"] == "2025-04"
    assert data["publicRecord"]["hadIncidents"] is False
    assert data["coverage"] is None


async def test_it_shows_the_counts_that_dashboards_read_and_no_other(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)  # or so few items are not shown
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"c{n}") for n in range(30))])
    await gateway.take_coverage()
    query = "{ coverage(groupBy: [COUNTRY]) { day total { items permitted delivered retracted margin } } }"
    dashboard = (await gateway.ask(Role.DASHBOARD, query))["coverage"]
    data = await public_values(gateway)
    assert data["coverage"]["total"] == dashboard["total"]
    page = (await gateway.client.get("/", headers=BROWSER)).text
    assert f"± {dashboard['total']['margin']:,}" in page
    assert "how many people objected" in page


async def test_it_names_the_models_that_clients_stated_and_no_size_or_version(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(public_data, "SECONDS_KEPT", 0.0)
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    assert "no recipient has named a model" in (await gateway.client.get("/", headers=BROWSER)).text
    receipt = (await gateway.pull())[0]["reason"]["receipt"]
    record = (
        'mutation R($r: ID!, $at: DateTime!) { recordRun(model: "Model <1>", startedAt: $at,'
        ' purpose: "GENAI_TRAINING", receipts: [{ first: $r, last: $r }]) { id } }'
    )
    await gateway.ask(Role.TRAINING_CLIENT, record, {"r": receipt, "at": NOW.isoformat()})
    insert = "INSERT INTO grounds.release (client, name, purpose, filter, started_at) SELECT client, '{}', purpose,"
    insert += " '{{}}', started_at FROM grounds.training_run RETURNING id"
    gateway.execute(insert.format("announced"))  # no client has received a file of it
    ((id,),) = gateway.execute(insert.format("handed-out"))
    gateway.execute(f"INSERT INTO grounds.training_run_input SELECT id, {id}, 3, 1, 1 FROM grounds.training_run")
    gateway.execute(f"INSERT INTO grounds.release_delivery (release, number, major, minor) VALUES ({id}, 0, 3, 1)")
    month = f"{NOW:%Y-%m}-01"
    shown = (await public_values(gateway))["publicRecord"]
    about = {"purpose": "GENAI_TRAINING", "startedMonth": month}
    assert shown["releases"] == [{"name": "handed-out"} | about]
    assert shown["models"] == [{"model": "Model <1>"} | about | {"releases": ["handed-out"]}]
    page = (await gateway.client.get("/", headers=BROWSER)).text
    assert "Model &lt;1&gt;" in page
    assert "announced" not in page
    body = gateway.execute("SELECT pg_get_functiondef('grounds.public_releases(int)'::regprocedure)")[0][0]
    gateway.execute(body.replace("EXISTS (", "TRUE OR EXISTS ("))
    found = [each["name"] for each in (await public_values(gateway))["publicRecord"]["releases"]]
    killed("every release for everyone", "db/sql/public_record.sql", "a release" if "announced" in found else None)


async def test_what_was_read_is_kept_for_a_while_and_read_by_one_at_a_time(gateway: TestGateway) -> None:
    await asyncio.gather(*(public_values(gateway) for _ in range(20)))
    gateway.execute("ALTER FUNCTION grounds.public_holds() RENAME TO gone")
    assert (await public_values(gateway))["publicRecord"]["holds"] == []
    assert (await gateway.client.get("/", headers=BROWSER)).status_code == 200


async def test_a_failure_is_a_page_for_a_browser_and_json_for_a_client(gateway: TestGateway) -> None:
    gateway.execute("ALTER FUNCTION grounds.public_holds() RENAME TO gone")
    page = await gateway.client.get("/", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "tell the operator this number" in page.text
    answer = await gateway.client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json; charset=utf-8")


async def test_who_kept_the_page_finds_a_ledger_that_was_cut_or_rewritten(gateway: TestGateway, tmp_path: Path) -> None:
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"c{n}") for n in range(4))])
    await sealed(gateway, 1)
    (tmp_path / "kept.json").write_text((await gateway.client.get("/transparency.json")).text)
    await sealed(gateway, 2)
    assert "up to checkpoint 2" in await check(gateway, tmp_path)
    gateway.execute("UPDATE grounds.checkpoint SET previous = root WHERE number = 2")
    assert "InvalidSignature" in await check(gateway, tmp_path)
    gateway.execute("DELETE FROM grounds.checkpoint")
    assert "the ledger was cut" in await check(gateway, tmp_path)
    for wrong in ("0", "x", "", "9" * 12):
        refused = await gateway.client.get("/transparency/checkpoints.json", params={"from": wrong})
        assert refused.status_code == 422


async def sealed(gateway: TestGateway, number: int) -> None:
    """Deliver an item and wait until the job has sealed its receipt."""
    await gateway.pull(first=1)
    for _ in range(200):
        if len(gateway.execute("SELECT number FROM grounds.checkpoint")) >= number:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nothing was sealed")


async def check(gateway: TestGateway, folder: Path) -> str:
    """Run the program that the page shows, as an outsider does, and return what it said."""
    command = [sys.executable, "-c", VERIFICATION, gateway.address]
    program = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await program.communicate()
    return said.decode()
