"""The processes of the embedded PostgreSQL: their settings, and how they end with the process that started them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Account(NamedTuple):
    """The unprivileged account under which a process runs if this one is root's."""

    uid: int
    gid: int


def default_settings(port: int) -> dict[str, str]:
    """Return the embedded PostgreSQL's server parameters, with a quarter of the memory as its cache."""
    megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (allowed := limit.read_text().strip()).isdigit():
        megabytes = min(megabytes, int(allowed) >> 20)
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "250",
        "shared_buffers": f"{max(16, min(4096, megabytes // 4))}MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # An error quotes rows and statements (DETAIL, CONTEXT, STATEMENT), and a crash the statement: log neither.
        "log_min_messages": "fatal",
        "log_min_error_statement": "panic",
        "log_statement": "none",
        "log_error_verbosity": "terse",
    }


def free_port() -> int:
    """Find a free port for the embedded PostgreSQL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn_bound_process(
    command: Sequence[str], account: Account | None, running: BinaryIO, output: BinaryIO, at_exit: ExitStack
) -> "subprocess.Popen[bytes]":
    """Start a process of the embedded PostgreSQL that ends when this process does, and stop it at the end."""
    process = subprocess.Popen(  # noqa: S603 - our own binaries; the arguments are ours and the caller's settings
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        # Our own environment may hold secrets, which the account's other processes could read.
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        pass_fds=[running.fileno()],
        process_group=0,  # Ctrl-C reaches us alone; we stop the server
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=partial(_die_with, os.getpid()),
    )
    at_exit.callback(_stop_process, process)
    return process


def _die_with(parent: int) -> None:
    """Have the kernel interrupt a process of the embedded PostgreSQL when `parent` dies; Linux only."""
    # Python calls this after it has changed the account, which would have cleared the request.
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)


def _stop_process(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process of the embedded PostgreSQL, more firmly each time."""
    for how, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is None:
            process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
