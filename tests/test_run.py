"""`./run` on a small checkout of its own, without network: what it installs when, and what it survives."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.installation
ROOT = Path(__file__).parents[1]
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
version = "1"
"""
BACKEND = """
import shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("{name}-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
PROJECTS = {"toy": ".", "toy_client": "schema/client"}
LOCKS = {
    "requirements.txt": ["grounds", "shared"],
    "requirements-dev.txt": ["tester"],
    "requirements-extra.txt": ["extra"],
}


def write_wheel(folder: Path, name: str) -> str:
    """Write a wheel of one module and a command of its name; return its line in a lock."""
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": f"def main(): print('{name} runs')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD")))
    return f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing installed, in a folder whose name is awkward."""
    home = tmp_path / "a person's chéckout"
    home.mkdir()
    wheels = tmp_path / "wheels"  # not below: pip divides this setting at spaces
    wheels.mkdir()
    shutil.copy(ROOT / "run", home)
    for name, folder in PROJECTS.items():
        project = home / folder
        project.mkdir(parents=True, exist_ok=True)
        (project / "pyproject.toml").write_text(PROJECT.format(name=name))
        (project / "backend.py").write_text(BACKEND.format(name=name))
        write_wheel(project, name)
    for lock, names in LOCKS.items():
        (home / lock).write_text("".join(write_wheel(wheels, name) for name in names))
    return home


def start(checkout: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout.parent / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.Popen(
        [checkout / "run", *arguments],
        env={**os.environ, **settings, **environment},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(checkout: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run to the end; return the exit code, the standard output and what `run` said of its own work."""
    with start(checkout, *arguments, **environment) as process:
        output, messages = process.communicate(timeout=120)
    return process.returncode, output, messages


def commands(checkout: Path) -> set[str]:
    names = {name for names in LOCKS.values() for name in names}
    return names & {path.name for path in (checkout / ".venv/bin").iterdir()}


def test_each_lock_is_installed_when_it_is_first_needed_and_never_again(checkout: Path) -> None:
    assert run(checkout, "grounds")[:2] == (0, "grounds runs\n")
    assert commands(checkout) == {"grounds", "shared"}
    code, output, messages = run(checkout, "tester")
    assert (code, output) == (0, "tester runs\n")
    assert "requirements.txt" not in messages
    assert run(checkout, "--with", "extra", "extra")[:2] == (0, "extra runs\n")
    shutil.rmtree(checkout.parent / "wheels")
    for arguments in (["grounds"], ["tester"], ["--with=extra", "extra"]):
        assert run(checkout, *arguments) == (0, f"{arguments[-1]} runs\n", "")


def test_runs_that_begin_together_install_once(checkout: Path) -> None:
    processes = [start(checkout, command) for command in ("grounds", "tester", "tester")]
    results = [process.communicate(timeout=120) for process in processes]
    assert [output for output, _ in results] == ["grounds runs\n", "tester runs\n", "tester runs\n"]
    messages = "".join(messages for _, messages in results)
    assert messages.count("making") == messages.count("installing requirements-dev.txt") == 1
    assert "waiting for another run" in messages


def test_an_installation_that_was_killed_is_resumed(checkout: Path) -> None:
    part = checkout / ".venv/.installed/requirements.txt.part"
    with start(checkout, "tester") as process:
        while not part.exists():
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    code, output, messages = run(checkout, "tester")
    assert (code, output) == (0, "tester runs\n")
    assert "making" not in messages


def test_a_package_that_was_cut_short_is_installed_again(checkout: Path) -> None:
    run(checkout, "grounds")
    stamp = checkout / ".venv/.installed/requirements.txt"
    stamp.rename(stamp.with_name("requirements.txt.part"))
    (checkout / ".venv/bin/grounds").unlink()
    for record in (checkout / ".venv").rglob("grounds-1.dist-info/RECORD"):
        record.unlink()
    assert run(checkout, "grounds")[:2] == (0, "grounds runs\n")


def test_nothing_of_an_earlier_lock_stays(checkout: Path) -> None:
    run(checkout, "tester")
    lock = checkout / "requirements.txt"
    lock.write_text(lock.read_text().partition("shared")[0])
    assert run(checkout, "grounds")[0] == 0
    assert commands(checkout) == {"grounds"}


def test_a_folder_that_was_copied_gets_an_environment_of_its_own(checkout: Path) -> None:
    run(checkout, "grounds")
    copy = shutil.copytree(checkout, checkout.with_name("copy"), symlinks=True)
    shutil.move(checkout, checkout.with_name("moved"))
    assert run(copy, "grounds")[:2] == (0, "grounds runs\n")


def test_a_changed_project_is_installed_again_and_its_packages_are_not(checkout: Path) -> None:
    run(checkout, "grounds")
    for name, folder in PROJECTS.items():
        assert run(checkout, name)[:2] == (0, f"{name} runs\n")
        (checkout / folder / "pyproject.toml").write_text(PROJECT.format(name=name) + 'description = "new"\n')
        messages = run(checkout, "grounds")[2]
        assert "this checkout" in messages
        assert "requirements" not in messages


def test_a_package_with_another_hash_is_refused(checkout: Path) -> None:
    lock = checkout / "requirements.txt"
    lock.write_text(lock.read_text()[:-9] + "0" * 8 + "\n")
    code, output, messages = run(checkout, "grounds")
    assert (code, output) == (1, "")
    assert "run: the installation failed" in messages


def test_a_mistake_is_answered_with_what_to_do(checkout: Path) -> None:
    assert run(checkout)[:2] == (0, run(checkout, "--help")[1])
    for arguments, answer in {
        ("--with", "nothing", "grounds"): 'no requirements-nothing.txt: is "nothing" misspelt?',
        ("--with",): "--with needs a name",
        ("--with", "extra"): "no command given",
    }.items():
        code, _, messages = run(checkout, *arguments)
        assert code == 1
        assert answer in messages
    code, _, messages = run(checkout, "grounds", PYTHON="/bin/false")
    assert code == 1
    assert "apt-get install python3-venv" in messages
    assert not (checkout / ".venv").exists()
