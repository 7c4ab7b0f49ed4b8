"""What an embedded PostgreSQL survives: killed owners, stale files, taken ports, full disks."""

import os
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from db import embedded_postgres as embedded
from db.embedded_postgres import EmbeddedPostgresError, embedded_postgres
from db.embedded_process import free_port
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
    within,
)


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
    with subprocess.Popen(["sleep", "60"], user=user if os.geteuid() == 0 else None) as stranger:
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
    deaf = SERVE.replace(
        "with embedded.",
        "import db.embedded_process\ndb.embedded_process._die_with = lambda parent: None\nwith embedded.",
    )
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
        ports = iter([rival.getsockname()[1], free_port()])
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports))
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
        assert "could not create its database" in owner.communicate("")[1]
    with embedded_postgres(new_home, settings=UNSAFE_BUT_FAST) as url:
        assert ask(url, "SELECT 1") == 1


def test_an_unwritable_home_is_reported_by_its_path() -> None:
    with pytest.raises(EmbeddedPostgresError, match="/proc/nowhere"), embedded_postgres(Path("/proc/nowhere")):
        pass
