"""The lock files hold what pyproject.toml asks for, once, name no package index, and what runs is small."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TABLES = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = TABLES["project"].get("optional-dependencies", {}) | TABLES["dependency-groups"]
CLIENT = tomllib.loads((ROOT / "schema" / "client" / "pyproject.toml").read_text())["project"]
FROM_THE_CHECKOUT = f"{CLIENT['name']}=={CLIENT['version']}"
RUNTIME = [*TABLES["project"]["dependencies"], *EXTRAS.pop("build")]
RUNTIME.remove(FROM_THE_CHECKOUT)


def versions(lock: str) -> dict[str, list[str]]:
    """Read each package of a lock with its versions: some differ by Python version."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def missing(asked: list[str], locked: dict[str, list[str]]) -> list[str]:
    def is_met(requirement: Requirement) -> bool:
        found = locked.get(canonicalize_name(requirement.name), [])
        return found != [] and all(map(requirement.specifier.contains, found))

    return [each for each in asked if not is_met(Requirement(each))]


def test_every_requirement_is_locked_in_a_version_that_it_allows() -> None:
    runtime = versions("requirements.txt")
    assert missing(RUNTIME, runtime) == []
    assert missing(CLIENT["dependencies"], runtime) == []
    for name, asked in EXTRAS.items():
        assert missing(asked, runtime | versions(f"requirements-{name}.txt")) == [], name
    assert missing(["pytest>=1000", "nothing"], versions("requirements-dev.txt")) == ["pytest>=1000", "nothing"]


def test_there_is_a_lock_for_every_extra_and_group_and_no_other() -> None:
    assert {path.name for path in ROOT.glob("requirements-*.txt")} == {f"requirements-{name}.txt" for name in EXTRAS}


def test_a_package_has_the_same_version_in_all_locks() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.glob("requirements*.txt")):
        for name, locked in versions(path.name).items():
            assert found.setdefault(name, locked) == locked, f"{name} in {path.name}"


def test_every_package_has_its_hashes_and_no_lock_names_an_index() -> None:
    for path in ROOT.glob("requirements*.txt"):
        text = path.read_text()
        assert "://" not in text
        assert all("--hash=sha256:" in entry for entry in text.replace("\\\n", "").splitlines())


def test_what_runs_takes_at_most_350_megabytes() -> None:
    locked = {*versions("requirements.txt"), "pip", "setuptools"}
    programs = [each for each in importlib.metadata.distributions() if canonicalize_name(each.name) in locked]
    files = [Path(str(file.locate())) for each in programs for file in each.files or ()]
    assert 100e6 < sum(file.stat().st_size for file in files if file.exists()) < 350e6
