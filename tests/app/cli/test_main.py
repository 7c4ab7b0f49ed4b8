"""The `grounds` command as people run it: a process of its own, beside one that serves the same data folder."""

import gzip
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_letters
from typing import Any

import httpx
import pytest
import zstandard

from app.demo.population import population_lines
from db.embedded_postgres import remove_embedded_postgres
from db.policy.document import default_policy
from schema.actor import Role
from tests.support.command import COMMAND, Serving, environment, grounds, serving, summaries, write
from tests.support.facts import NOW, fact
from tests.support.fork_server import ForkedCommand
from tests.support.gateway import NO_CERTIFICATES, PULL, SECRET, set_clock
from tests.support.repository import ROOT

pytestmark = pytest.mark.xdist_group("command")

CANARY = "words that belong to one person"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that the tests of this module share, whose clock stands still."""
    folder = tmp_path_factory.mktemp("served")
    with serving(folder / "data", folder / "log") as server:
        set_clock(server.database_url, NOW)
        yield server
    assert "Traceback" not in server.log.read_text()
    remove_embedded_postgres(folder / "data" / "postgres")


def token(server: Serving, role: Role, *arguments: str) -> str:
    return grounds("token", "--role", role, *arguments, data=server.data).stdout.strip()


def ask(server: Serving, bearer: str, query: str, variables: Mapping[str, Any] = {}) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {bearer}"}
    body = {"query": query, "variables": variables}
    with httpx.Client(base_url=server.address, headers=headers, timeout=30, verify=NO_CERTIFICATES) as client:
        answer: dict[str, Any] = client.post("/graphql", json=body).json()
    return answer


def pulled(server: Serving, bearer: str) -> set[str]:
    texts: set[str] = set()
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        answer = ask(server, bearer, PULL, {"first": 1000, "after": page["endCursor"]})["data"]["trainableContent"]
        texts |= {item["text"] for item in answer["nodes"]}
        page = answer["pageInfo"]
    return texts


def test_files_plain_and_packed_and_standard_input_are_taken_in(served: Serving, tmp_path: Path) -> None:
    plain = write(tmp_path / "[b] plain ü.ndjson", fact("account"), fact("notice"), fact("content", id="plain"))
    packed = tmp_path / "packed.ndjson.gz"
    packed.write_bytes(gzip.compress(json.dumps(fact("content", id="one")).encode() + b"\n"))
    with packed.open("ab") as file:  # members that stand one behind the other are one file
        file.write(gzip.compress(json.dumps(fact("content", id="two")).encode()))
    stdin = json.dumps(fact("content", id="piped")).encode()
    told = grounds("ingest", plain, packed, "-", data=served.data, stdin=stdin, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert summaries(told.stdout) == [
        {"account": [1, 0, 0, 0], "content": [1, 0, 0, 0], "notice": [1, 0, 0, 0]},
        {"content": [2, 0, 0, 0]},
        {"content": [1, 0, 0, 0]},
    ]
    stale = write(tmp_path / "again.ndjson", fact("account", 1), fact("content", id="plain"), "")
    empty = write(tmp_path / "empty.ndjson", "", " ")
    told = grounds("ingest", stale, empty, data=served.data)
    assert (told.returncode, told.stderr) == (0, "")
    assert summaries(told.stdout) == [{"account": [0, 0, 1, 0], "content": [0, 1, 0, 0]}, {}]
    assert not list(tmp_path.glob("*.rejects.ndjson")), "nothing was rejected"


def test_bad_lines_are_set_aside_beside_their_file_and_the_good_ones_land(served: Serving, tmp_path: Path) -> None:
    shown = json.dumps(fact("content", id="wrong", audience="PUBLIK", text="A wörd."), ensure_ascii=False)
    private = json.dumps(fact("content", id="private", kind="PRIVATE_MESSAGE", created_at="2025-02-30", text=CANARY))
    good = fact("content", id="good")
    file = write(tmp_path / "facts.ndjson", "{", good, shown, private, json.dumps(fact("content", text=CANARY))[:-9])
    told = grounds("ingest", file, data=served.data)
    aside = tmp_path / "facts.ndjson.rejects.ndjson"
    assert (told.returncode, told.stderr) == (3, f"4 lines were rejected (see {aside})\n")
    assert summaries(told.stdout) == [{"content": [1, 0, 0, 3], "unreadable": [0, 0, 0, 1]}]
    lines = [json.loads(line) for line in aside.read_text(encoding="utf-8").splitlines()]
    fields = ("line", "record", "id", "field")
    assert [tuple(line[field] for field in fields) for line in lines] == [
        (1, None, None, None),
        (3, "content", "wrong", "audience"),
        (4, "content", "private", "created_at"),
        (5, "content", "item", None),
    ]
    assert all(line["reason"] for line in lines)
    assert [line.get("original") for line in lines] == [None, shown, None, None]
    assert CANARY not in aside.read_text() + told.stdout + told.stderr
    assert aside.stat().st_mode & 0o777 == 0o600
    told = grounds("ingest", write(file, good), data=served.data)
    assert (told.returncode, summaries(told.stdout)) == (0, [{"content": [0, 1, 0, 0]}])
    assert not aside.exists(), "an earlier run's"
    (tmp_path / "stdin.rejects.ndjson").write_text("an earlier run's")
    told = grounds("ingest", "-", data=served.data, stdin=b"{\n", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (3, "1 line was rejected (see stdin.rejects.ndjson)\n")
    assert json.loads((tmp_path / "stdin.rejects.ndjson").read_text())["line"] == 1


def test_a_damaged_file_is_told_of_and_what_came_before_is_kept(served: Serving, tmp_path: Path) -> None:
    texts = ["".join(random.choices(ascii_letters, k=600)) for _ in range(200)]
    records = [json.dumps(fact("content", id=f"packed-{number}", text=text)) for number, text in enumerate(texts)]
    whole = gzip.compress("\n".join([*records, ""]).encode())
    cut, bent, other = tmp_path / "cut.gz", tmp_path / "bent.gz", tmp_path / "other.zst"
    cut.write_bytes(whole[: len(whole) // 2])
    bent.write_bytes(whole[:-8] + b"\0" * 8)
    last = write(tmp_path / "last.ndjson", fact("content", id="last"))
    other.write_bytes(zstandard.compress(last.read_bytes())[:-9])
    told = grounds("ingest", cut, bent, other, last, data=served.data)
    assert told.returncode == 2
    advice = (
        "is incomplete or damaged (only the lines before the damage were read; get the file again and repeat "
        "the command)"
    )
    assert told.stderr.replace("grounds: ", "").splitlines() == [f"{file}: {advice}" for file in (cut, bent, other)]
    taken, before, nothing, after = summaries(told.stdout)
    assert 60 < taken["content"][0] < 100
    assert taken["content"][1:] == [0, 0, 0], "half a line is not a bad line"
    assert before == {"content": [200 - taken["content"][0], taken["content"][0], 0, 0]}
    assert (nothing, after) == ({}, {"content": [1, 0, 0, 0]})
    assert not list(tmp_path.glob("*.rejects.ndjson"))
    (whole_file := tmp_path / "whole.gz").write_bytes(whole)
    told = grounds("ingest", whole_file, data=served.data)
    assert (told.returncode, summaries(told.stdout)[0]["content"][2:]) == (0, [0, 0])
    assert served.execute("SELECT count(*) FROM grounds.content WHERE platform_id LIKE 'packed%'") == [(200,)]


def test_a_file_that_cannot_be_read_or_set_aside_is_told_of(served: Serving, tmp_path: Path) -> None:
    good = write(tmp_path / "good.ndjson", fact("content", id="unseen"))
    for wrong in (tmp_path / "missing.ndjson", tmp_path):
        told = grounds("ingest", good, wrong, data=served.data)
        assert told.returncode == 2
        assert told.stderr == f"grounds: {wrong}: does not exist or is a folder (pass files, or - for standard input)\n"
    (tmp_path / "good.ndjson.rejects.ndjson").mkdir()
    told = grounds("ingest", good, data=served.data)
    assert told.returncode == 2
    assert told.stderr.startswith(f"grounds: {good}.rejects.ndjson: ")
    assert served.execute("SELECT count(*) FROM grounds.content WHERE platform_id = 'unseen'") == [(0,)]


@pytest.mark.ci
def test_a_run_that_is_killed_is_finished_by_the_next_in_little_memory(served: Serving, tmp_path: Path) -> None:
    lines = [line.replace(b'"content-', b'"big-') for line in population_lines(15_000, NOW)]
    (big := tmp_path / "big.ndjson").write_bytes(b"".join(lines))
    (small := tmp_path / "small.ndjson").write_bytes(b"".join(lines[: len(lines) // 10]))
    count = "SELECT count(*) FROM grounds.content WHERE platform_id LIKE 'big-%'"
    with (
        (tmp_path / "out").open("wb") as out,
        ForkedCommand("ingest", big, env=environment(served.data), stdout=out.fileno()) as run,
    ):
        while not served.execute(count)[0][0] > 3000:
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    assert 3000 < served.execute(count)[0][0] < 15_000
    peak, _ = peak_and_output(served, big)
    assert served.execute(count) == [(15_000,)]
    small_peak, told = peak_and_output(served, small)
    assert peak < small_peak + 24 * 1024, "kB; the file alone is 10 MB, its records are more"
    assert sum(outcomes[1] for outcomes in summaries(told)[0].values()) == len(lines) // 10, "all unchanged"


def peak_and_output(server: Serving, file: Path) -> tuple[int, str]:
    """Take a file in; return the most memory in kB that one of its processes had, and what it printed."""
    command = [COMMAND, "ingest", str(file)]
    with subprocess.Popen(command, env=environment(server.data), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        printed = run.stdout.read()
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0
    return usage.ru_maxrss, printed


def test_the_status_says_that_the_database_is_the_embedded_one(served: Serving) -> None:
    assert json.loads(grounds("status", "--json", data=served.data).stdout)["database"] == "embedded"


def test_a_token_of_every_role_is_let_in(served: Serving) -> None:
    stated = {
        Role.TRAINING_CLIENT: ("--client", "lab", "--purpose", "GENAI_TRAINING"),
        Role.DATA_SUBJECT: ("--subject", "x"),
    }
    for role in Role:
        viewer = ask(served, token(served, role, *stated.get(role, ())), "{ viewer { role client purpose } }")
        asked = ("lab", "GENAI_TRAINING") if role is Role.TRAINING_CLIENT else (None, None)
        assert viewer == {"data": {"viewer": {"role": role, "client": asked[0], "purpose": asked[1]}}}


def test_a_token_for_a_purpose_that_the_policy_does_not_have_is_refused(served: Serving, tmp_path: Path) -> None:
    training = ("token", "--role", "TRAINING_CLIENT", "--purpose")
    told = grounds(*training, "advertising", data=served.data)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        "grounds: --purpose: ADVERTISING is not a purpose of the policy in force (use GENAI_TRAINING)\n"
    )
    told = grounds(*training, "genai_training", data=served.data)
    viewer = ask(served, told.stdout.strip(), "{ viewer { purpose } }")
    assert (told.stderr, viewer) == ("", {"data": {"viewer": {"purpose": "GENAI_TRAINING"}}})
    told = grounds(*training, "ADVERTISING", data=tmp_path / "new")
    assert (told.returncode, told.stdout.count(".")) == (0, 2)
    assert told.stderr == "The purpose was not compared with a policy, because no database is running.\n"


def test_a_token_needs_no_database_and_says_what_is_missing(tmp_path: Path) -> None:
    told = grounds(
        "token", "--role", "AUDITOR", data=tmp_path / "new", env={"DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    )
    assert (told.returncode, told.stdout.count("."), told.stderr) == (0, 2, "")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["issuer.json"]
    for arguments, said in (
        (
            ["--role", "DATA_SUBJECT"],
            "grounds: a token for DATA_SUBJECT needs a subject, which is the account's id of at most 2048 bytes",
        ),
        (
            ["--role", "TRAINING_CLIENT", "--client", "a b"],
            "grounds: a token for TRAINING_CLIENT needs a client name that matches ",
        ),
        (["--role", "TRAINING_CLIENT", "--purpose", ""], "grounds: a token for TRAINING_CLIENT needs a purpose"),
        (["--role", "OWNER"], "Usage: grounds token"),
        ([], "Usage: grounds token"),
    ):
        told = grounds("token", *arguments, data=tmp_path / "new")
        assert (told.returncode, told.stdout) == (2, ""), arguments
        assert told.stderr.startswith(said)
    (tmp_path / "new" / "issuer.json").write_text("{}")
    told = grounds("token", "--role", "AUDITOR", data=tmp_path / "new")
    assert told.returncode == 2
    assert "issuer.json does not contain a P-256 key pair" in told.stderr


def test_every_fault_of_a_policy_is_named_at_once(database_url: str, tmp_path: Path) -> None:
    sound = json.loads(default_policy().document())
    wrong: dict[str, Any] = {"purposes": ["GENAI_TRAINING", "ADVERTISING"], "regions": ["DE", "UK"], "colour": "red"}
    wrong |= {"dwell": {"account_days": -1}, "effective_until": sound["effective_from"]}
    (file := tmp_path / "policy.json").write_text(json.dumps(sound | wrong | {"controller": None}))
    settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    told = grounds("policy", "check", file, data=tmp_path, env=settings)
    assert (told.returncode, told.stdout) == (2, "")
    for part in (
        "colour: is not a field of a policy (remove it, or correct its name)",
        "regions.1: UK is not an ISO 3166-1 country code",
        "dwell.account_days: must be at least 0 (correct it)",
        "effective_until must be after effective_from",
        "controller: is missing (state its name, address, contact",
        "purposes: no campaign of epoch 2025-04 or later named the purpose ADVERTISING",
    ):
        assert f"policy 2025-05-27: {part}" in told.stderr
    file.write_text(json.dumps(sound | {"regions": ["EL"]}))
    told = grounds("policy", "check", file, data=tmp_path, env=settings)
    assert told.stderr.count("regions") == 1, "an empty list is no fault of its own"
    weak = {"notice": {"epoch": "1990-01", "period_days": 30}, "regions": ["IE", "US"]}
    file.write_text(json.dumps(sound | weak))
    told = grounds("policy", "check", file, data=tmp_path, env=settings)
    assert told.returncode == 0
    assert "warning: regions.1: US is not in the European Economic Area" in told.stderr
    assert "warning: notice.epoch: no campaign has the epoch 1990-01" in told.stderr
    assert "controller.storage" not in told.stderr
    controller = sound["controller"] | {"storage": {"en": "As long as it is needed."}}
    file.write_text(json.dumps(sound | {"controller": controller}))
    told = grounds("policy", "check", file, data=tmp_path, env=settings)
    assert "warning: controller.storage: is missing in bg, cs, da, de, " in told.stderr


def test_a_policy_that_is_overdue_is_put_in_force_with_a_warning(database_url: str, tmp_path: Path) -> None:
    overdue = {"version": "overdue", "review_by": "2026-01-01", "on_overdue": "STOP"}
    (file := tmp_path / "policy.json").write_text(json.dumps(json.loads(default_policy().document()) | overdue))
    settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    told = grounds("policy", "activate", file, data=tmp_path, env=settings)
    assert (told.returncode, told.stdout) == (0, "policy overdue: is in force\n")
    assert told.stderr == (
        "policy overdue: warning: review of the policy: was valid until 2026-01-01 (no item is permitted)\n"
    )


def test_a_policy_is_refused_line_by_line(database_url: str, tmp_path: Path) -> None:
    def check(file: Path) -> "subprocess.CompletedProcess[str]":
        settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
        return grounds("policy", "check", file, data=tmp_path, env=settings)  # it reads what campaigns told

    sound = json.loads(default_policy().document())
    public = sound["grounds"]["PUBLIC_CONTENT"]
    wrong = {"version": 7, "effective_from": "soon", "purposes": [], "regions": "DE", "colour": "red"}
    wrong |= {"notice": {"epoch": 7, "period_days": "x"}, "grounds": {"WHIM": public}}
    nested = ("notice.epoch", "notice.period_days", "grounds.WHIM")
    places = (*("version", "effective_from", "purposes", "regions", "colour"), *nested)
    refused: list[tuple[dict[str, Any], list[str]]] = [
        (wrong, [f"policy.json: {place}: " for place in places]),
        (
            {"effective_until": sound["effective_from"]},
            ["policy 2025-05-27: effective_until must be after effective_from"],
        ),
    ]
    for kind in ("PRIVATE_MESSAGE", "BUSINESS_MESSAGE"):
        said = (
            f"policy 2025-05-27: kind {kind} cannot belong to a ground (remove it from grounds.PUBLIC_CONTENT.kinds)\n"
        )
        refused.append(({"grounds": {"PUBLIC_CONTENT": public | {"kinds": ["POST", kind]}}}, [said]))
    file = tmp_path / "policy.json"
    for change, parts in refused:
        file.write_text(json.dumps(sound | change))
        told = check(file)
        assert (told.returncode, told.stdout) == (2, "")
        for part in parts:
            assert part in told.stderr
    for broken in (b"{", b"\xff", b"[]"):
        file.write_bytes(broken)
        told = check(file)
        assert (told.returncode, told.stderr.startswith("grounds: policy.json: ")) == (2, True), told.stderr
    file.write_text(json.dumps(sound))
    told = check(file)
    assert told.stdout == "policy 2025-05-27: is valid; its grounds are AI_INTERACTION, PUBLIC_CONTENT\n"
    told = check(tmp_path / "none.json")
    assert (told.returncode, told.stderr) == (2, f"grounds: {tmp_path / 'none.json'}: No such file or directory\n")


def test_a_policy_put_in_force_decides_the_next_statement(served: Serving, tmp_path: Path) -> None:
    items = [
        fact("content", id=f"in-{country}", account=country, text=f"Seen from {country}.") for country in ("IE", "NL")
    ]
    authors = [fact("account", id=country, country=country) for country in ("IE", "NL")]
    notices = [fact("notice", id=f"to-{country}", account=country) for country in ("IE", "NL")]
    assert grounds("ingest", write(tmp_path / "a", *authors, *notices, *items), data=served.data).returncode == 0
    client = token(served, Role.TRAINING_CLIENT)
    both = {"Seen from IE.", "Seen from NL."}
    assert both <= pulled(served, client)
    shown = grounds("policy", "show", data=served.data).stdout
    assert json.loads(shown) == json.loads(default_policy().document())
    narrow = json.loads(shown) | {"version": "narrow", "regions": ["NL"]}
    (file := tmp_path / "narrow.json").write_text(json.dumps(narrow))
    (before := tmp_path / "before.json").write_text(shown)
    try:
        told = grounds("policy", "activate", file, data=served.data)
        assert (told.returncode, told.stdout, told.stderr) == (0, "policy narrow: is in force\n", "")
        assert both & pulled(served, client) == {"Seen from NL."}
        assert ask(served, client, "{ policy { version regions } }")["data"]["policy"]["regions"] == ["NL"]
        assert httpx.get(f"{served.address}/ready").json()["policy"] == "narrow"
        file.write_text(json.dumps(narrow | {"regions": ["NL", "IE"]}))
        told = grounds("policy", "activate", file, data=served.data)
        assert told.returncode == 2
        assert told.stderr == (
            "grounds: policy narrow: another document was in force under this version (change the field "
            "`version` in the document)\n"
        )
        assert both & pulled(served, client) == {"Seen from NL."}
        assert grounds("policy", "activate", tmp_path / "a", data=served.data).returncode == 2
    finally:
        assert grounds("policy", "activate", before, data=served.data).returncode == 0
    assert both <= pulled(served, client)


def test_the_exported_schema_is_the_committed_one(tmp_path: Path) -> None:
    committed = (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")
    assert grounds("schema", "export", data=tmp_path).stdout == committed
