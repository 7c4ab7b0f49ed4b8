"""A connection pooler between Grounds and PostgreSQL is refused at the start, whatever its mode is."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from db.administrator import DatabaseError
from db.embedded_process import free_port
from db.setup import check_database, prepare_database
from tests.support.command import grounds
from tests.support.gateway import SECRET

pytestmark = pytest.mark.deploy

SETTINGS = """[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


@contextmanager
def pooler(url: str, mode: str, folder: Path) -> Iterator[str]:
    """Start Debian's PgBouncer in front of a PostgreSQL; yield the URL that leads through it."""
    parts, port = urlsplit(url), free_port()
    folder.mkdir()
    (folder / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
    (folder / "settings").write_text(SETTINGS.format(server=parts.port, port=port, folder=folder, mode=mode))
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
        for above in folder.parents[:-2]:
            above.chmod(above.stat().st_mode | 0o011)
    with subprocess.Popen(["pgbouncer", "-q", "-u", user, folder / "settings"]) as process:
        through = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
        try:
            await_connection(through)
            yield through
        finally:
            process.terminate()


def await_connection(url: str) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PgBouncer does not answer")


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_is_refused_with_what_to_do_and_nothing_is_changed(
    database_url: str, tmp_path: Path, mode: str
) -> None:
    check_database(database_url, SECRET)
    with pooler(database_url, mode, tmp_path / "pooler") as through:
        for start in (prepare_database, check_database):
            with pytest.raises(DatabaseError, match="connection pooler, such as PgBouncer \\(use the address"):
                start(through, SECRET)
        env = {"DATABASE_URL": through, "GROUNDS_SECRET": SECRET.decode()}
        served = grounds("serve", "--port", "0", data=tmp_path / "data", env=env)
        assert (served.returncode, "connection pooler" in served.stderr) == (2, True), served.stderr
    check_database(database_url, SECRET)
