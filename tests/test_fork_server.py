"""What the fork server starts is a process like any other, and tests hear of it when the server is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.support.command import COMMAND, environment, grounds, read_from_start
from tests.support.fork_server import ForkedCommand, ForkServerEnded

PRINTED = """
import os, signal, sys, threading
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM)]
expected = [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]
print(os.getpid(), os.getcwd(), sys.argv[1:], sys.stdin.read(), sys.stdin.seekable())
print(handlers == expected, threading.active_count())
print(sorted(os.environ), sorted(os.listdir("/proc/self/fd")), file=sys.stderr)
sys.exit(7)
"""
SLEEPING = "import time; time.sleep(60)"


def test_it_answers_as_the_command_does(tmp_path: Path) -> None:
    for arguments in ("--help",), ("token", "--role", "OWNER"), ("no-such-command",):
        imported = subprocess.run([COMMAND, *arguments], env=environment(tmp_path), capture_output=True, text=True)
        forked = grounds(*arguments, data=tmp_path)
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            imported.returncode,
            imported.stdout,
            imported.stderr,
        )


def test_its_folder_environment_streams_and_exit_code_are_its_own(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"words")
    os.close(writing)
    with TemporaryFile() as out, TemporaryFile() as err:
        streams = {"stdin": reading, "stdout": out.fileno(), "stderr": err.fileno()}
        asked = ForkedCommand("one", 2, build=PRINTED, env={"A": "b"}, cwd=tmp_path, **streams)
        os.close(reading)
        assert asked.wait(60) == 7
        said = [read_from_start(file) for file in (out, err)]
    assert said == [f"{asked.pid} {tmp_path} ['one', '2'] words False\nTrue 1\n", "['A'] ['0', '1', '2', '3']\n"]


def test_it_can_be_killed_and_interrupted() -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        with ForkedCommand(build=SLEEPING, env={}) as sleeping:
            assert sleeping.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                sleeping.wait(0.01)
            os.kill(sleeping.pid, number)
            assert sleeping.wait(60) == -number == sleeping.poll()


def test_tests_hear_of_a_fork_server_that_is_gone(tmp_path: Path) -> None:
    gone = """
from tests.support import fork_server
running = fork_server.ForkedCommand(build="import time; time.sleep(60)", env={})
fork_server._fork_server()[0].kill()
try:
    fork_server.ForkedCommand("--help", env={})
except fork_server.ForkServerEnded as error:
    print(error, running.poll())
running.kill()
print(running.wait())
"""
    done = subprocess.run([sys.executable, "-c", gone], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("-9 None\n-9\n", "")
    assert issubclass(ForkServerEnded, Exception)
