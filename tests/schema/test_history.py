"""What teams rely on stays, or the changelog says so: the last schema of the history against the one of today.

The consumers are the example operations, kept with each version as they were.
"""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from tests.support.ordinary_cases import ordinary_every
from tests.support.repository import ROOT

HISTORY = ROOT / "schema" / "history"
CURRENT = ROOT / "schema" / "schema.graphql"
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
UNRELEASED = "\n## Unreleased\n\n"


def last_version() -> Path:
    return max(HISTORY.iterdir(), key=lambda folder: tuple(int(part) for part in folder.name.split(".")))


def announced(changelog: str) -> set[str]:
    """Read what the entries of "Unreleased" that begin with "Breaking:" name in backticks."""
    unreleased = changelog.partition("\n## Unreleased\n")[2].partition("\n## ")[0]
    entries = (entry for entry in unreleased.split("\n- ") if entry.startswith("Breaking:"))
    return {name for entry in entries for name in re.findall(r"`([^`]+)`", entry)}


def unannounced(schema: Path, changelog: str) -> list[str]:
    """List the breaking changes since the last version that touch an example operation, and nothing announces."""
    version = last_version()
    asked = ["contract", "diff", version / "schema.graphql", schema, "--operations", version, "--format", "json"]
    done = CliRunner().invoke(app, [str(each) for each in asked])
    assert done.exit_code in (0, 1), done.output
    told = json.loads(done.stdout)
    breaking = [each for each in told["changes"] if each["severity"] == "breaking" and each["affects"]]
    explained = {affected["operation"] for change in breaking for affected in change["affects"]}
    assert {each["operation"] for each in told["broken"]} <= explained, "an operation broke, and no change says why"
    known = announced(changelog)
    return [
        f"{each['description']} It breaks {', '.join(affected['operation'] for affected in each['affects'])} "
        f'(write "- Breaking: `{each["coordinate"]}` ..." under Unreleased in CHANGELOG.md, or undo it)'
        for each in breaking
        if each["coordinate"] not in known
    ]


def test_a_change_that_breaks_an_example_operation_is_in_the_changelog() -> None:
    assert unannounced(CURRENT, CHANGELOG) == []


@pytest.mark.parametrize(
    ("before", "after", "coordinate"),
    ordinary_every(
        2,
        [
            ("type TrainableContent implements Node", "type TrainableContent", "TrainableContent"),
            ("\n  receipt: ID! ", "\n  receiptId: ID! ", "QualifyingReason.receipt"),
            ("trainableContent(\n", "trainableContent(\n    most: Int!\n", "Query.trainableContent(most:)"),
            (
                "receipt: ID! @governed(readers: [",
                "receipt: ID! @governed(readers: [AUDITOR, ",
                "QualifyingReason.receipt",
            ),
        ],
    ),
)
def test_a_build_that_breaks_one_in_silence_fails(before: str, after: str, coordinate: str, tmp_path: Path) -> None:
    text = CURRENT.read_text(encoding="utf-8")
    assert before in text
    schema = tmp_path / "schema.graphql"
    schema.write_text(text.replace(before, after, 1))
    (fault,) = unannounced(schema, CHANGELOG)
    assert f'write "- Breaking: `{coordinate}` ..." under Unreleased' in fault
    entry = f"- Breaking: it is gone,\n  `{coordinate}`.\n"
    assert unannounced(schema, CHANGELOG.replace(UNRELEASED, UNRELEASED + entry, 1)) == []
    assert unannounced(schema, f"{CHANGELOG}\n## 0.0.1\n\n{entry}") == [fault]


def test_what_touches_no_example_operation_breaks_none(tmp_path: Path) -> None:
    text = CURRENT.read_text(encoding="utf-8")
    schema = tmp_path / "schema.graphql"
    schema.write_text(text.replace("\n  unsealed: ", "\n  sealed: "))
    assert schema.read_text() != text
    assert unannounced(schema, CHANGELOG) == []


def test_the_history_keeps_with_each_version_operations_that_are_valid_for_it() -> None:
    for version in HISTORY.iterdir():
        asked = ["contract", "check", version, "--schema", version / "schema.graphql"]
        done = CliRunner().invoke(app, [str(each) for each in asked])
        assert done.exit_code == 0, done.output
