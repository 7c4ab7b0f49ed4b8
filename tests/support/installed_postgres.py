"""A PostgreSQL of programs that lie on this machine, in place of the embedded one: `GROUNDS_TEST_POSTGRES=BIN`.

`BIN` is the folder of `initdb` and `postgres`: Debian's PostgreSQL 15 lies in /usr/lib/postgresql/15/bin.
"""

import os
import pwd
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.embedded_process import free_port

BINARIES = os.environ.get("GROUNDS_TEST_POSTGRES")
MAX_CONNECTIONS = "250"


@contextmanager
def installed_postgres(binaries: Path, *, settings: Mapping[str, str]) -> Iterator[str]:
    """Yield a superuser URL of a new server on 127.0.0.1, which an unprivileged user runs; remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="grounds-postgres-", ignore_cleanup_errors=True) as folder:
        data, password = Path(folder, "data"), Path(folder, "password")
        password.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            for path in (Path(folder), password):
                shutil.chown(path, "nobody")
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", "timezone": "UTC"}
        options |= {"max_connections": MAX_CONNECTIONS, **settings}
        given = shlex.join(f"--{name}={value}" for name, value in options.items())
        cluster = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync"]

        call = _caller(binaries, data)
        call("initdb", *cluster, f"--pwfile={password}")
        call("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", given)
        try:
            yield f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres"
        finally:  # a test may have killed it
            _caller(binaries, data, checked=False)("pg_ctl", "stop", "-w", "-m", "immediate")


@dataclass(frozen=True)
class Standby:
    """A standby server, which can be stopped, started again, and promoted to the primary."""

    port: int
    call: Callable[..., None]
    options: Sequence[str]

    def start(self) -> None:
        self.call("pg_ctl", "start", "-w", *self.options)

    def stop(self) -> None:
        self.call("pg_ctl", "stop", "-w", "-m", "immediate")

    def promote(self) -> None:
        self.call("pg_ctl", "promote", "-w")


@contextmanager
def synchronous_standby(binaries: Path, primary: str) -> Iterator[Standby]:
    """Start a standby that can confirm each commit of a server, which is given by its superuser's URL."""
    with tempfile.TemporaryDirectory(prefix="grounds-standby-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        call = _caller(binaries, Path(folder, "data"))
        call("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--dbname={primary}")
        port = free_port()
        given = f"--port={port} --listen_addresses=127.0.0.1 --unix_socket_directories="
        given += f" --max_connections={MAX_CONNECTIONS}"  # no fewer than the primary has, or it does not start
        standby = Standby(port, call, ("-l", f"{folder}/log", "-o", given))
        standby.start()
        try:
            yield standby
        finally:
            _caller(binaries, Path(folder, "data"), checked=False)("pg_ctl", "stop", "-w", "-m", "immediate")


def _caller(binaries: Path, data: Path, *, checked: bool = True) -> Callable[..., None]:
    """Return what calls a program of a cluster as an unprivileged user."""
    account: Mapping[str, Any] = {}
    if os.geteuid() == 0:
        account = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}

    def call(program: str, *arguments: str) -> None:
        command = [str(binaries / program), f"--pgdata={data}", *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, **account)
        assert done.returncode == 0 or not checked, done.stdout + done.stderr

    return call
