"""The two distributions: what their wheels hold, and what the client's README shows."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.conformance.consumer import PROJECTS
from tests.support.repository import ROOT

CLIENT = ROOT / "schema" / "client"
README = (CLIENT / "README.md").read_text(encoding="utf-8")


def project_table(folder: Path) -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def build_wheel(source: Path, folder: Path) -> dict[str, bytes]:
    """Build a wheel without network; return its files."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def test_the_gateways_wheel_has_neither_the_client_nor_a_pytest_plugin(tmp_path: Path) -> None:
    files = build_wheel(ROOT, tmp_path)
    assert {name.partition("/")[0] for name in files} == {"app", "schema", "db", "grounds-0.1.0.dist-info"}
    assert not [name for name in files if "client" in Path(name).parts or "grounds_client" in name]
    assert b"pytest" not in files["grounds-0.1.0.dist-info/entry_points.txt"]


def test_the_clients_wheel_has_its_package_only_with_types_and_licence(tmp_path: Path) -> None:
    files = build_wheel(CLIENT, tmp_path)
    assert {name.partition("/")[0] for name in files} == {"grounds_client", "grounds_client-0.1.0.dist-info"}
    assert "grounds_client/py.typed" in files
    assert files["grounds_client-0.1.0.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_gateway_needs_the_client_of_its_own_version() -> None:
    version = project_table(ROOT)["version"]
    assert project_table(CLIENT)["version"] == version
    dependencies = project_table(ROOT)["dependencies"]
    assert isinstance(dependencies, list)
    assert f"grounds-client=={version}" in dependencies


def test_the_readme_shows_the_contract_that_is_tried() -> None:
    assert f"```python\n{(PROJECTS / 'python' / 'test_contract.py').read_text(encoding='utf-8')}```" in README


def test_the_readmes_receiver_accepts_what_the_gateway_signs_and_nothing_else() -> None:
    (receiver,) = re.findall(r"```python\n(import json\n.*?)```", README, re.DOTALL)
    trying = """
import time
from grounds_client.webhook import WebhookVerificationError, sign_webhook, webhook_secret
secret, body = webhook_secret(bytes(range(32))), b'{"retractions": [{"id": "a"}]}'
headers = sign_webhook(secret, "msg_1", body, time.time())
assert retractions(secret, headers, body) == [{"id": "a"}]
try:
    retractions(secret, headers, body + b" ")
except WebhookVerificationError:
    pass
else:
    raise AssertionError("a byte more was accepted")
"""
    subprocess.run([sys.executable, "-c", receiver + trying], check=True)
