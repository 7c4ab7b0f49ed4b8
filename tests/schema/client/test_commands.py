"""`grounds-client contract` as another team's CI runs it; the gateway's `grounds contract` must tell the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest
from graphql import build_schema, introspection_from_schema

from grounds_client.contract.compatibility import Severity
from tests.schema.client.projects import SDL, Done, break_operation, run_client, run_contract
from tests.schema.client.test_compatibility import CASES, Case
from tests.schema.client.test_compatibility import SDL as OLD_SDL
from tests.support.local_server import listening

TOKEN = "words-that-are-secret"


def check(project: Path, *more: object) -> Done:
    return run_contract("check", project, *more, "--schema", project / "schema.graphql")


def test_what_is_deprecated_passes_unless_it_is_strict(project: Path) -> None:
    done = check(project)
    assert done.exit_code == 0, done.output
    assert "late.graphql: Late: deprecated: line 1" in done.stdout
    assert check(project, "--strict").exit_code == 1


def test_what_would_fail_ends_with_1_and_names_consumer_operation_and_line(project: Path) -> None:
    break_operation(project)
    done = check(project)
    assert done.exit_code == 1
    assert "red: 2 operations" in done.stdout
    assert "bad.graphql: Bad: fails: line 2: Cannot query field 'missing'" in done.stdout
    assert "1 of 3 operations would fail" in done.stdout


def test_findings_are_json(project: Path) -> None:
    break_operation(project)
    done = check(project, "--format", "json", "--client", "green")
    assert done.exit_code == 1
    told = {each["operation"]: each for each in json.loads(done.stdout)["operations"]}
    assert {each["consumer"] for each in told.values()} == {"green"}
    assert told["Good"]["findings"] == []
    assert [(each["verdict"], each["line"]) for each in told["Bad"]["findings"]] == [("fails", 2)]


@pytest.mark.parametrize(("options", "failing"), [((), {"Bad"}), (("--strict",), {"Bad", "Late"})])
def test_findings_are_junit(project: Path, options: tuple[str, ...], failing: set[str]) -> None:
    break_operation(project)
    suites = ElementTree.fromstring(check(project, "--format", "junit", *options).stdout.partition("?>")[2])
    assert [(suite.get("name"), suite.get("tests")) for suite in suites] == [("blue", "1"), ("red", "2")]
    assert {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None} == failing


def test_a_role_is_told_what_it_may_not_read(project: Path) -> None:
    assert check(project, "--role", "AUDITOR").exit_code == 0
    done = check(project, "--role", "TRAINING_CLIENT")
    assert done.exit_code == 1
    assert "fails: line 1: Query.a is for AUDITOR; TRAINING_CLIENT may not read it" in done.stdout


def test_a_role_is_named_in_any_case_and_only_one_of_the_schemas(project: Path) -> None:
    assert check(project, "--role", "auditor").exit_code == 0
    check_role = ("contract", "check", str(project), "--schema", str(project / "schema.graphql"), "--role")
    done = run_client(*check_role, "OFFICER")
    assert done.exit_code == 2
    assert "--role: 'OFFICER' is not a role of the schema (use one of AUDITOR, TRAINING_CLIENT)" in done.stderr
    (project / "schema.graphql").write_text("type Query { a: Int old: Int }")
    done = check(project, "--role", "AUDITOR")
    assert done.exit_code == 2
    assert "--role: the schema does not declare @governed" in done.stderr


@contextmanager
def answering(status: int, answer: object, heard: list[str]) -> Iterator[str]:
    """Answer every request in the same way, on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.headers["Authorization"] or "")
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *_: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/graphql"


def test_a_gateway_is_asked_with_the_token(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDS_TOKEN", TOKEN)
    heard: list[str] = []
    with answering(200, {"data": introspection_from_schema(build_schema(SDL))}, heard) as url:
        assert run_contract("check", project, "--schema", url).exit_code == 0
        break_operation(project)
        assert run_contract("check", project, "--schema", url).exit_code == 1
        done = run_contract("check", project, "--schema", url, "--role", "AUDITOR")
    assert heard == [f"Bearer {TOKEN}"] * 4  # two commands, twice
    assert done.exit_code == 2
    assert "introspection does not show which roles may read a field" in done.stderr


@pytest.mark.parametrize(("status", "answer"), [(401, {}), (200, {"errors": []}), (200, []), (302, {})])
def test_a_gateway_that_does_not_tell_its_schema_is_unreadable(
    project: Path, status: int, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDS_TOKEN", TOKEN)
    with answering(status, answer, []) as url:
        done = run_contract("check", project, "--schema", url)
    assert done.exit_code == 2
    assert done.stderr.startswith("grounds-client: --schema: the ")
    assert TOKEN not in done.output


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("nowhere", None, "does not exist"),
        ("red/bad.graphql", "query {", "red/bad.graphql:1:8: cannot be parsed, Syntax Error"),
        ("red/bad.graphql", "fragment F on Query { a }", "if the file contains only fragments"),
        ("red/bad.graphql", "query A { a } query A { old }", "contains 2 operations named A"),
        ("red/bad.graphql", "", "cannot be parsed"),
        ("red/bad.graphql", b"\xff", "is not UTF-8"),
        ("persisted.json", "{", "is not JSON ("),
        ("persisted.json", '["{ a }"]', "must be a JSON object that contains documents"),
        ("persisted.json", '{"da39a3ee": "{ a }"}', 'persistedDocuments.hashAlgorithm: "sha256"'),
        ("red/bad.graphql", "{ a" * 5000, "nested too deeply"),
        ("schema.graphql", "type Query {", "schema.graphql:1:13: is not valid SDL, Syntax Error"),
        ("schema.graphql", "type Query { a: Nothing }", "is not a valid schema"),
        ("schema.graphql", "type Other { a: Int }", "is not a valid schema"),
    ],
)
def test_what_cannot_be_read_ends_with_2(project: Path, name: str, text: str | bytes | None, words: str) -> None:
    if text is not None:
        (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    target = project / "red" if name == "schema.graphql" else project / name
    done = run_contract("check", target, "--schema", project / "schema.graphql")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("grounds-client: ")
    assert words in done.stderr


def test_a_schema_or_operations_that_are_not_there_end_with_2(project: Path) -> None:
    done = run_contract("check", project, "--schema", project / "none.graphql")
    assert (done.exit_code, "none.graphql: cannot be read, No such file" in done.stderr) == (2, True)
    (project / "empty").mkdir()
    done = run_contract("check", project / "empty", "--schema", project / "schema.graphql")
    assert (done.exit_code, "empty: contains no operation" in done.stderr) == (2, True)


def test_two_operations_of_one_name_in_a_folder_end_with_2(project: Path) -> None:
    (project / "red" / "again.graphql").write_text("query Good { old }")
    done = check(project)
    assert done.exit_code == 2
    assert "good.graphql: has an operation Good that " in done.stderr
    (project / "red" / "again.graphql").rename(project / "blue" / "again.graphql")
    assert check(project).exit_code == 0


def test_a_file_that_is_named_twice_counts_once(project: Path) -> None:
    done = check(project, project / "red" / "good.graphql")
    assert done.exit_code == 0
    assert "red: 1 operation\n" in done.stdout
    assert "0 of 2 operations would fail" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "code", "strict", "words"),
    [
        ("a: Int @", "b: Int @", 1, 1, "breaking: FIELD_REMOVED: Field Query.a was removed.\n  affects red: Good"),
        ("[AUDITOR]", "[AUDITOR, TRAINING_CLIENT]", 1, 1, "breaking: GOVERNANCE_LOOSENED: Field Query.a"),
        ("[AUDITOR]", "[]", 0, 1, "dangerous: GOVERNANCE_TIGHTENED: Field Query.a"),
        ("a: Int @", "b: Int a: Int @", 0, 0, "0 breaking, 0 dangerous, 1 safe"),
        ("", "", 0, 0, "0 breaking, 0 dangerous, 0 safe"),
    ],
)
def test_a_change_of_the_schema_breaks_a_build(
    project: Path, before: str, after: str, code: int, strict: int, words: str
) -> None:
    new = project / "new.graphql"
    new.write_text(SDL.replace(before, after, 1) if before else SDL)
    asked = ("diff", project / "schema.graphql", new, "--operations", project)
    done = run_contract(*asked)
    assert words in done.stdout
    assert done.exit_code == code
    assert run_contract(*asked, "--strict").exit_code == strict


@pytest.mark.parametrize("case", [*CASES[Severity.BREAKING], *CASES[Severity.DANGEROUS]], ids=lambda case: case.kind)
def test_each_kind_of_breaking_change_breaks_a_build_and_each_dangerous_one_a_strict_build(
    tmp_path: Path, case: Case
) -> None:
    (tmp_path / "old.graphql").write_text(OLD_SDL)
    (tmp_path / "new.graphql").write_text(case.schema())
    asked = ("diff", tmp_path / "old.graphql", tmp_path / "new.graphql")
    done = run_contract(*asked)
    assert done.exit_code == (1 if case in CASES[Severity.BREAKING] else 0), done.output
    assert f": {case.kind}: " in done.stdout
    assert run_contract(*asked, "--strict").exit_code == 1


def test_changes_are_json_and_junit(project: Path) -> None:
    new = project / "new.graphql"
    new.write_text(SDL.replace("a: Int @", "b: Int @", 1))
    asked = ("diff", project / "schema.graphql", new, "--operations", project, "--format")
    done = run_contract(*asked, "json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [(each["severity"], each["coordinate"]) for each in told["changes"]] == [
        ("breaking", "Query.a"),
        ("safe", "Query.b"),
    ]
    assert [each["operation"] for each in told["changes"][0]["affects"]] == ["Good"]
    ((broken,),) = (each["findings"] for each in told["broken"])
    assert broken["message"].startswith("Cannot query field 'a'")
    done = run_contract(*asked, "junit")
    assert done.exit_code == 1
    suites = ElementTree.fromstring(done.stdout.partition("?>")[2])
    assert [tuple(suite.get(name) for name in ("name", "tests", "failures")) for suite in suites] == [
        ("schema", "2", "1"),
        ("red", "1", "1"),
    ]
    failing = [case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failing == ["Query.a", "Good"]


def test_usage_of_this_folder_passes_over_environments(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    foreign = ("environment/lib", ".hidden", "red/node_modules/package", "lib/site-packages/package")
    for number, folder in enumerate(foreign):
        (project / folder).mkdir(parents=True)
        (project / folder / "foreign.graphql").write_text(f"query Foreign{number} {{ old }}")
    (project / "environment" / "pyvenv.cfg").touch()
    done = run_contract("usage", "Query.old", "--schema", "schema.graphql")
    assert done.stdout == "blue: Late (blue/late.graphql)\n"
    named = run_contract("usage", "Query.old", "--schema", "schema.graphql", "--operations", project / ".hidden")
    assert named.stdout == f".hidden: Foreign1 ({project}/.hidden/foreign.graphql)\n"


def test_a_defect_does_not_have_the_exit_code_of_a_broken_contract(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grounds_client.contract.commands.check_operation", None)
    done = run_client("contract", "check", str(project), "--schema", str(project / "schema.graphql"))
    assert done.exit_code == 2
    assert "TypeError" in done.stderr


def test_help_and_version_are_told() -> None:
    assert run_client("--version").stdout.strip() == version("grounds-client")
    for words in ((), ("contract",), ("contract", "check"), ("contract", "diff"), ("contract", "usage")):
        done = run_client(*words, "-h")
        assert done.exit_code == 0
        assert done.stdout.startswith(" ".join(("usage: grounds-client", *words)))


def test_a_diff_that_cannot_be_read_ends_with_2(project: Path) -> None:
    assert run_contract("diff", project / "schema.graphql", project / "none").exit_code == 2
    done = run_contract("diff", "http://127.0.0.1:1/graphql", project / "schema.graphql")
    assert done.exit_code == 2
    assert "OLD: must be an SDL file, because introspection does not show which roles may read a field" in done.stderr


def test_who_reads_a_field_is_told(project: Path) -> None:
    asked = ("--operations", project, "--schema", project / "schema.graphql")
    done = run_contract("usage", "Query.old", *asked)
    assert done.exit_code == 0
    assert done.stdout.startswith("blue: Late (")
    assert "red" not in done.stdout.partition(": Late")[0]
    assert run_contract("usage", "Role", *asked).stdout == "Role: is used by none of 2 operations\n"
    (reader,) = json.loads(run_contract("usage", "Query.old", *asked, "--format", "json").stdout)["operations"]
    assert (reader["consumer"], reader["operation"]) == ("blue", "Late")
    for wrong in ("Query.nothing", "Nothing.a", "a b"):
        done = run_contract("usage", wrong, *asked)
        assert done.exit_code == 2
        assert "is not in the schema" in done.stderr
