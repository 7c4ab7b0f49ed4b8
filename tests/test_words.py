"""The words of the project: those that a reader has to read twice, and names that say nothing, do not come back."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from tests.support.repository import ROOT

TEXT = {".css", ".graphql", ".html", ".json", ".md", ".mjs", ".py", ".sql", ".toml", ".ts", ".txt", ".yml"}
# Schemas and operations of earlier versions, the licence, made-up texts, and the tests that name these words.
LEFT_OUT = (
    *(
        "schema/history/",
        "LICENSE",
        "app/demo/phrases.json",
        "tests/test_words.py",
        "tests/schema/test_descriptions.py",
    ),
)
OTHER_LANGUAGES = re.compile(r"^app/texts/(?!en/)[a-z]{2,3}/texts\.json$")

# One thing per another: "one message a second" is read twice.
PER = (
    r"(items|rows|pages|bytes|characters|calls|times|lines|messages|requests|receipts|values|verified|posted|[0-9]) "
    r"an? (second|minute|hour|day)"
)

# Words as words, in any case: metaphors, people in place of things, and what the words of the field have replaced.
WORDS = {
    "whom, whoever: name the account, the client or the request": r"whom(ever)?|whoever",
    "the metaphor wall: access check": r"walls?",
    "the metaphor door: endpoint, or what is permitted": r"(front |back )?doors?",
    "the metaphor bell: hint": r"(?<!bicycle )bells?",
    "the metaphor desk: dashboard": r"desks?",
    "the way down: eligibility funnel": r"ways? down",
    "reaches nobody: matches no account": r"reach(es|ed|ing)? nobody",
    "duty: job": r"dut(y|ies)",
    "fate: result": r"fates?",
    "not for you: you do not have access": r"not for you",
    "there is no such thing: not found": r"there is no such thing",
    "that was not done: the change was not saved": r"that was not done",
    "per: write it instead of the article": PER,
    "in nobody else's hands: was not compromised": r"in (nobody|somebody) else's hands",
}
# Names of the API and of commands that have another name now; the changelog says which.
OLD_NAMES = {
    "skew: representation": r"skew(ed)?",
    "a private name of the API": r"mustBeTold|timeToForce|LINE_SET_ASIDE",
    "an old command": r"grounds (object(?!ion)|notify|notify-bounces)",
}
# Identifiers of Python and SQL that say nothing, or that have another name now.
IDENTIFIERS = {
    "a limit is MAX_ or MIN_": r"(MOST|LONGEST|SHORTEST|LEAST)(_\w+)?|\w*AT_ONCE|SMALL|BESIDES",
    "an error ends in Error, a result in Result": r"Refused|Refusal|Unanswered|Unfit|Busy|Filer|Fate|Kept",
    "a name that STYLE replaced": (
        r"refuse_the_withheld|reaching_nobody|must_be_told|standing_falls_due|taken_back_at|keep_version|retraction_due"
        r"|instead_of|Duty|duties"
    ),
}
# A participle alone, or a verb that says nothing, is no name of a function of a module.
BARE_NAME = re.compile(
    r"_*(told|listed|shown|asked|copied|read|found|held|kept|said|made|written|parsed|checked|formatted|published|named"
    r"|counted|given|taken|seen|sent|stated|one|all|acting|show|doing|mine|try_?)"
)
OLD_MODULES = {
    *("desk", "entrance", "frame", "people", "acting", "reading", "duties", "posting", "edges", "intake", "walls"),
    *("past", "reach", "hearing"),
}
# A docstring of a class is a noun phrase, that of a function an imperative that says more than the name.
VERBS_OF_CLASSES = re.compile(r"(Hold|Say|Give|Tell|Name|State|Know|Take|Make|Let|Narrow|Count|Do|Keep) ")
VERBS_OF_FUNCTIONS = re.compile(r"(Say|Tell|Give) (?!up\b)")

Finding = tuple[str, int, str]


def test_no_word_that_has_to_be_read_twice_is_used() -> None:
    assert [f"{path}:{line}: {why}" for path, line, why in word_findings(project_texts())] == []


def test_no_identifier_that_was_replaced_comes_back() -> None:
    assert [f"{path}:{line}: {why}" for path, line, why in identifier_findings(project_texts())] == []


def test_no_module_or_function_has_a_name_that_says_nothing() -> None:
    texts = project_texts()
    assert [path for path in texts if PurePath(path).stem in OLD_MODULES and path.endswith(".py")] == []
    assert [f"{path}:{line}: {why}" for path, line, why in name_findings(texts)] == []


def test_docstrings_are_noun_phrases_and_imperatives() -> None:
    assert [f"{path}:{line}: {why}" for path, line, why in docstring_findings(project_texts())] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("It says to whom it goes.", "whom"),
        ("Whoever asks", "whom"),
        ("-- a claim would open a door", "door"),
        ("The way down, step by step", "way down"),
        ("an objection that reaches nobody", "reaches nobody"),
        ("run `grounds object --account x`", "old command"),
        ("It sends 20 messages a second.", "per"),
        ('"mustBeTold"', "private name"),
    ],
)
def test_each_of_these_words_is_found(text: str, why: str) -> None:
    ((path, line, found),) = word_findings({"x.md": f"Good words.\n{text}\n"})
    assert (path, line) == ("x.md", 2)
    assert why in found


@pytest.mark.parametrize(
    "text",
    [
        "Objections are filed by `grounds objection file`.",
        "for items a client received",
        "MOST_ROWS",
        "a wallet, a doorman",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert list(word_findings({"x.md": text})) == []


def test_identifiers_names_and_docstrings_are_found_by_what_they_are() -> None:
    code = 'MOST_ROWS = 1\n\n\ndef _told() -> None:\n    """Give it."""\n\n\nclass Page:\n    """Hold a page."""\n'
    assert [line for _, line, _ in identifier_findings({"x.py": code, "x.md": code})] == [1]
    assert [line for _, line, _ in name_findings({"x.py": code})] == [4]
    assert [line for _, line, _ in docstring_findings({"x.py": code})] == [4, 8]
    assert list(identifier_findings({"x.py": '# MOST_ROWS\nname = "MOST_ROWS"\n'})) == []


def project_texts() -> dict[str, str]:
    """Read every text of the project, by its path."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {
        name: path.read_text(encoding="utf-8")
        for name in names
        if (path := Path(ROOT / name)).suffix in TEXT
        and path.exists()
        and not name.startswith(LEFT_OUT)
        and not OTHER_LANGUAGES.search(name)
    }


def word_findings(texts: dict[str, str]) -> Iterator[Finding]:
    """Find the words that are not used, wherever they stand."""
    words = {why: re.compile(rf"\b({words})\b", re.IGNORECASE) for why, words in WORDS.items()}
    old_names = {why: re.compile(rf"\b({names})\b", re.IGNORECASE) for why, names in OLD_NAMES.items()}
    for path, text in texts.items():
        patterns = words if path == "CHANGELOG.md" else words | old_names
        for number, line in enumerate(text.splitlines(), 1):
            for why, pattern in patterns.items():
                if pattern.search(line):
                    yield path, number, f"{why}: {line.strip()[:80]}"


def identifier_findings(texts: dict[str, str]) -> Iterator[Finding]:
    """Find the identifiers of Python that are not used; strings and comments are other words."""
    patterns = {why: re.compile(names) for why, names in IDENTIFIERS.items()}
    for path, text in texts.items():
        if not path.endswith(".py"):
            continue
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                for why, pattern in patterns.items():
                    if pattern.fullmatch(token.string):
                        yield path, token.start[0], f"{why}: {token.string}"


def name_findings(texts: dict[str, str]) -> Iterator[Finding]:
    """Find the functions of a module whose name is a participle alone or an empty verb."""
    for path, node in definitions(texts):
        if not isinstance(node, ast.ClassDef) and node.col_offset == 0 and BARE_NAME.fullmatch(node.name):
            yield path, node.lineno, f"{node.name} does not say what"


def docstring_findings(texts: dict[str, str]) -> Iterator[Finding]:
    """Find the docstrings that begin with a verb that says nothing."""
    for path, node in definitions(texts):
        verbs = VERBS_OF_CLASSES if isinstance(node, ast.ClassDef) else VERBS_OF_FUNCTIONS
        said = ast.get_docstring(node) or ""
        if verbs.match(said):
            yield path, node.lineno, f"{node.name}: {said.splitlines()[0]}"


def definitions(texts: dict[str, str]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Walk over the functions and classes of all modules."""
    for path, text in texts.items():
        if path.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield path, node
