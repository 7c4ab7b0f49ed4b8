"""Run the `grounds` command in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT


def grounds(*arguments: str, data: Path, input: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on a data folder, with an otherwise empty environment; return its output and exit code."""
    command = [sys.executable, "-c", "from app.cli.main import main; main()", *arguments]
    environment = {"GROUNDS_DATA": str(data), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, input=input, capture_output=True, text=True, check=False)
