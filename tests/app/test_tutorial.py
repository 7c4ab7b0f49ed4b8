"""The tutorial works as it is printed: its commands run in order, on a free port, and answer what it says."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import block
from tests.support.repository import ROOT

DOCUMENT = "app/TUTORIAL.md"
PATIENCE_SECONDS = 60


@pytest.fixture
def shell(tmp_path: Path) -> Iterator["Shell"]:
    """A shell in a folder of its own, with the tutorial's gateway running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    opened = Shell(tmp_path, port)
    (tmp_path / "run").symlink_to(ROOT / "run")
    (tmp_path / "facts.ndjson").write_text(block(DOCUMENT, "facts"))
    serve = opened.written("serve").strip()
    server = subprocess.Popen(serve.split(), cwd=tmp_path, env=opened.environment, stdout=subprocess.DEVNULL)
    try:
        opened.wait_until_ready()
        yield opened
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


class Shell:
    """A shell that runs the blocks of the tutorial, which share their variables."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.earlier = folder, port, ""
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    def written(self, name: str) -> str:
        """Return a block with the free port and the checkout's command."""
        text = block(DOCUMENT, name).replace("127.0.0.1:8010", f"127.0.0.1:{self.port}")
        return text.replace("--port 8010", f"--port {self.port}").replace("./run grounds", f"{ROOT}/run grounds")

    def run(self, name: str) -> str:
        """Run a block after the variables of the earlier ones; return what it prints."""
        lines = self.written(name)
        done = subprocess.run(
            ["bash", "-euc", self.earlier + lines],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        self.earlier += "".join(f"{line}\n" for line in lines.splitlines() if "=$(" in line)
        return done.stdout

    def wait_until_ready(self) -> None:
        """Wait until the gateway listens."""
        for _ in range(PATIENCE_SECONDS * 10):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the tutorial's gateway does not listen")


@pytest.mark.ci
def test_a_newcomer_reaches_the_first_permitted_item_and_sees_it_retracted(shell: Shell) -> None:
    shell.run("ingest")
    pulled = json.loads(shell.run("pull"))
    (node,) = pulled["data"]["trainableContent"]["nodes"]
    assert node["reason"].pop("receipt")
    (shown,) = json.loads(block(DOCUMENT, "pulled"))["data"]["trainableContent"]["nodes"]
    shown["reason"].pop("receipt")
    assert node == shown

    explained = json.loads(shell.run("explain"))["data"]["eligibility"]
    assert not explained["permitted"]
    assert [each["code"] for each in explained["conditions"] if each["outcome"] == "FAIL"] == ["AUDIENCE_PUBLIC"]

    assert shell.run("object")
    assert json.loads(shell.run("pull"))["data"]["trainableContent"]["nodes"] == []
    for _ in range(PATIENCE_SECONDS):
        told = json.loads(shell.run("retractions"))["data"]["retractions"]["nodes"]
        if told:
            break
        time.sleep(1)
    assert [each["kind"] for each in told] == ["RETRACT"]
