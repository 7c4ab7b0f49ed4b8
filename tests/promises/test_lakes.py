"""A lake is decided as the database decides: the same outcomes, grounds, evidence and rows, by another engine."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import app.lakes
from db.lake.dialects import DialectName, LakeCompileError
from db.policy.condition import Condition
from db.policy.conditions import CONDITIONS
from tests.support.gateway import TestGateway
from tests.support.lakes import DecidedLake, lakes_of, loaded, statement_of
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every

SEED, WORLDS, INSTANTS, DECISIONS = 7, 80, 5, 2_800
CI_SEEDS, CI_INSTANTS, CI_DECISIONS = range(20, 27), 6, 20_000
SPARK_WORLDS, SPARK_DECISIONS = 30_000, 200_000
LONG_BATCHES, LONG_WORLDS, LONG_INSTANTS, LONG_DECISIONS = 12, 400, 8, 200_000
ZONES = ("UTC", "America/Los_Angeles", "Pacific/Kiritimati")
Mutation = Callable[[str], str]


def replacing(old: str, new: str) -> Mutation:
    return lambda statement: statement.replace(old, new)


def without_microseconds(statement: str) -> str:
    return re.sub(r"(\.\d{3})\d{3}(\+00:00')", r"\g<1>000\2", statement)


def a_microsecond_later(statement: str) -> str:
    """Compare with an instant that is a microsecond too late, as an interval that is rounded up would."""
    return re.sub(r"(c\.\"audience_since\" <= TIMESTAMPTZ '[^']*')", r"(\1 + INTERVAL 1 MICROSECOND)", statement)


MUTANTS: dict[str, Mutation] = {
    "an unknown reference passes": replacing("THEN FALSE WHEN count(q.", "THEN FALSE WHEN FALSE AND count(q."),
    "unknown becomes FALSE": replacing("CAST(NULL AS BOOLEAN)", "FALSE"),
    "instants without an offset": replacing("+00:00'", "'"),
    "instants of milliseconds": without_microseconds,
    "an interval that is rounded up": a_microsecond_later,
    "< for <=": replacing('c."audience_since" <=', 'c."audience_since" <'),
    "equality by a pattern": replacing("s.\"status\" = 'ACTIVE'", "s.\"status\" LIKE '%ACTIV%'"),
    "a list has all, not one": replacing("list_has_any(", "list_has_all("),
    "the end of a range belongs to it": replacing("< span.until", "<= span.until"),
    "the start of a range does not": replacing('span."from" <=', 'span."from" <'),
    "lists count from 0": replacing("1, len(list_filter(", "1, -1 + len(list_filter("),
    "weeks begin on Sunday": replacing("date_trunc('week', ", "INTERVAL (-1) DAY + date_trunc('week', "),
    "only items with a parent": replacing("LEFT JOIN parents", "JOIN parents"),
    "a missing parent is public": replacing('parents."are_public"', 'coalesce(parents."are_public", TRUE)'),
    "the walk up ends at once": replacing("WHERE u.place < 64", "WHERE u.place < 1"),
    "only items with a family": replacing("LEFT JOIN family f", "JOIN family f"),
    "greatest with NULL is NULL": replacing("greatest(c.", "least('infinity', c."),
    "a truth value as a number is 0": replacing("AS INT)", "AS INT) // 2"),
    "references to contacts are left out": replacing("o.id = r.contact", "o.id = r.contact AND FALSE"),
    "references of the family are left out": replacing("WHEN family_references.family IS NULL", "WHEN TRUE"),
}
REFUSED = {
    "s.country LIKE 'I%'": "Like",
    "s.account / 2 = 1": "Div",
    "lower(s.country) = 'ie'": "Lower",
    "s.adult_from + interval '1 day' <= {now}": "Add",
    "s.adult_from::date <= {now}": "Cast",
    "s.country COLLATE \"C\" = 'IE'": "Collate",
    "s.country IN (SELECT x.value FROM grounds.hold x)": "In",
    "s.country = ANY (s.later_epochs)": "EQ",
    "s.later_epochs @> ARRAY['2025-04']": "ArrayContainsAll",
    "s.later_epochs[2] = '2025-04'": "Bracket",
    "s.platform_id = 'a'": "s.platform_id",
    "x.country = 'IE'": "x.country",
    "s.is_known IS TRUE": "Is",
    "s.country = 'a\\b'": "Literal",
    "(SELECT max(n.instant) FROM unnest(s.later_epochs, s.later_ends) n (epoch, instant)) <= {now}": "Select",
}


async def agree(gateway: TestGateway, seed: int, worlds: int, instants: int, folder: Path) -> int:
    """Compare every decision about a batch, in sessions of several time zones; return how many there are."""
    batch = await loaded(gateway, seed, worlds, instants)
    decided = 0
    for number, at in enumerate(batch.instants):
        (lake,) = await lakes_of(gateway, [at], folder / str(number))
        assert lake.differences(statement_of(lake), ZONES[number % len(ZONES)]) == {}, (seed, at)
        decided += len(lake.expected)
    return decided


async def test_duckdb_decides_as_the_database_does(gateway: TestGateway, tmp_path: Path, killed: Killed) -> None:
    """In a process of another time zone too; and each mutant of the compiled statement is noticed."""
    batch = await loaded(gateway, SEED, WORLDS, INSTANTS)
    lakes = await lakes_of(gateway, batch.instants, tmp_path)
    for lake, zone in zip(lakes, (*ZONES, *ZONES), strict=False):
        assert lake.differences(statement_of(lake), zone) == {}, (lake.at, zone)
    assert sum(len(lake.expected) for lake in lakes) >= DECISIONS
    assert {row[-1] for lake in lakes for row in lake.expected.values()} == {True, False}
    for name, mutate in MUTANTS.items():
        killed(name, "the compiled statement", noticed_by(lakes, mutate))


def noticed_by(lakes: list[DecidedLake], mutate: Mutation) -> str | None:
    """Return what notices a mutant of the compiled statement."""
    for lake in lakes:
        statement = statement_of(lake)
        mutant = mutate(statement)
        if mutant != statement and (found := lake.differences(mutant, "America/Los_Angeles")):
            return f"{sum(found.values())} values of {', '.join(sorted(found)[:3])} differ"
    return None


@pytest.mark.ci
@pytest.mark.parametrize("seed", CI_SEEDS)
async def test_duckdb_decides_as_the_database_does_for_more_worlds(
    gateway: TestGateway, tmp_path: Path, seed: int
) -> None:
    assert await agree(gateway, seed, WORLDS, CI_INSTANTS, tmp_path) * len(CI_SEEDS) >= CI_DECISIONS


@pytest.mark.long
@pytest.mark.parametrize("batch", range(LONG_BATCHES))
async def test_duckdb_decides_as_the_database_does_in_worlds_never_seen_before(
    gateway: TestGateway, tmp_path: Path, batch: int
) -> None:
    decided = await agree(gateway, secrets.randbits(40), LONG_WORLDS, LONG_INSTANTS, tmp_path)
    assert decided * LONG_BATCHES >= LONG_DECISIONS


@pytest.mark.parametrize("dialect", DialectName)
async def test_an_unknown_construct_is_an_error_that_names_the_condition_and_the_node(
    gateway: TestGateway, tmp_path: Path, dialect: DialectName
) -> None:
    await loaded(gateway, SEED, 2, 1)
    (lake,) = await lakes_of(gateway, [(await loaded(gateway, SEED, 2, 1)).instants[0]], tmp_path)
    for rule, node in REFUSED.items():
        with pytest.raises(LakeCompileError) as caught:
            statement_of(lake, dialect, (*CONDITIONS, with_rule(CONDITIONS[3], rule)))
        assert "REGION_COVERED" in str(caught.value)
        assert node in str(caught.value), rule


def with_rule(condition: Condition, rule: str) -> Condition:
    return replace(condition, parts=(rule,))


@pytest.mark.parametrize("seed", ordinary_every(2, range(2)))
async def test_a_lake_has_nothing_that_decisions_do_not_read(gateway: TestGateway, tmp_path: Path, seed: int) -> None:
    """No text but of permitted items, no name or contact of the platform, and no birth date that decides nothing."""
    batch = await loaded(gateway, seed, 60, 2)
    (lake,) = await lakes_of(gateway, batch.instants[-1:], tmp_path)
    files = [path for path in lake.folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in lake.folder.rglob("*") if path.is_dir()} == {0o700}
    names = " UNION ".join(
        f"SELECT {column} FROM grounds.{table}"
        for table, column in (("account", "platform_id"), ("content", "platform_id"), ("referenced_contact", "contact"))
    )
    named = {name for (name,) in gateway.execute(names)}
    texts = dict(gateway.execute("SELECT id, text FROM grounds.content WHERE text IS NOT NULL"))
    found = lake.texts()
    assert not named & found
    permitted = {texts[item] for item, row in lake.expected.items() if row[-1] and item in texts}
    assert found & set(texts.values()) <= permitted | {""}
    ((private,),) = gateway.execute("SELECT count(*) FROM grounds.content WHERE kind LIKE '%%MESSAGE'")
    assert private > sum(row[2].endswith("MESSAGE") for row in lake.expected.values())


@pytest.mark.long
async def test_spark_decides_as_the_database_does(gateway: TestGateway, tmp_path: Path) -> None:
    """On two executors, in a session of another time zone. Needs ./run --with release,lake,long pytest, and Java 17."""
    batch = await loaded(gateway, secrets.randbits(40), SPARK_WORLDS, 1)
    (lake,) = await lakes_of(gateway, batch.instants[:1], tmp_path)
    assert len(lake.expected) >= SPARK_DECISIONS
    (tmp_path / "spark.sql").write_text(statement_of(lake, DialectName.SPARK))
    output = lake.folder.with_suffix(".decisions")
    begun = time.monotonic()
    await asyncio.to_thread(submit, lake.folder, tmp_path / "spark.sql", output, "America/Los_Angeles")
    print(f"{len(lake.expected)} items, {len(lake.columns)} columns: {time.monotonic() - begun:.0f} s in Spark")
    assert lake.compared(lake.rows_of(f"read_parquet('{output}/*.parquet')")) == {}, (batch.seed, lake.at)


def submit(lake: Path, statement: Path, output: Path, zone: str) -> None:
    """Run the job for Spark on a cluster of two executors, each a process of its own on this machine."""
    home = Path(pytest.importorskip("pyspark", reason="./run --with release,lake,long pytest").__file__).parent
    settings = {"spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    settings |= {"spark.sql.session.timeZone": zone, "spark.sql.shuffle.partitions": "4"}
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    job = str(Path(app.lakes.__file__).parent / "spark_job.py")
    command = [str(home / "bin" / "spark-submit"), "--master", "local-cluster[2,1,1024]", *options, job]
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    told = subprocess.run(
        [*command, str(lake), str(statement), str(output)], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-3000:]
