"""What `grounds contract` has of its own, the schema of this version; and `grounds documents register`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.http.persisted_documents import open_documents
from grounds_client.documents import document_id
from schema.actor import Role
from schema.build import build_schema

OTHER = "query Who { viewer { role } }"
PULL = "query Pull { trainableContent(first: 1) { nodes { id text } } }"


def grounds(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"GROUNDS_DOCUMENTS": None})


def test_without_a_schema_it_is_the_one_of_this_version(tmp_path: Path) -> None:
    (tmp_path / "pull.graphql").write_text(PULL)
    assert grounds("contract", "check", tmp_path, "--role", "TRAINING_CLIENT").exit_code == 0
    assert grounds("contract", "check", tmp_path, "--role", "DASHBOARD").exit_code == 1


def test_registered_documents_are_served(tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    (tmp_path / "pull.graphql").write_text(PULL)
    done = grounds("documents", "register", tmp_path, "--client", "trainer", "--manifest", manifest)
    assert (done.exit_code, done.stdout) == (0, f"{document_id(PULL)}  Pull\n")
    (tmp_path / "pull.graphql").write_text(OTHER)
    assert grounds("documents", "register", tmp_path, "--client", "other", "--manifest", manifest).exit_code == 0
    served = open_documents(manifest, frozenset(Role), build_schema())
    assert [served.find(None, document_id(text), Role.AUDITOR).text for text in (PULL, OTHER)] == [PULL, OTHER]
    assert {each.name for each in tmp_path.iterdir()} == {"pull.graphql", "documents.json"}


def test_what_graphql_codegen_persisted_is_checked_and_served(tmp_path: Path) -> None:
    written = tmp_path / "persisted-documents.json"
    written.write_text(json.dumps({document_id(text): text for text in (PULL, OTHER)}))
    assert grounds("contract", "check", written, "--role", "TRAINING_CLIENT").exit_code == 0
    manifest = tmp_path / "documents.json"
    done = grounds("documents", "register", written, "--client", "web", "--manifest", manifest)
    assert (done.exit_code, set(done.stdout.splitlines())) == (
        0,
        {f"{document_id(PULL)}  Pull", f"{document_id(OTHER)}  Who"},
    )
    served = open_documents(manifest, frozenset(Role), build_schema())
    assert served.find(None, document_id(PULL), Role.TRAINING_CLIENT).text == PULL


@pytest.mark.parametrize(
    ("client", "text", "kept", "words"),
    [
        ("a b", PULL, "{}", "--client: 'a b' is not a valid client name"),
        ("trainer", "{ nothing }", "{}", "fails: line 1: Cannot query field 'nothing'"),
        ("trainer", PULL, "[]", "must be an object"),
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
