"""The commands `grounds migrate` and `grounds status`."""

from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from app.cli.command import AsJson, Data, open_database_of, print_json

_STATUS_QUERY = """
SELECT current_setting('server_version') AS postgresql,
    (SELECT max(version) FROM grounds.migration) AS database_version,
    (SELECT version FROM grounds.policy WHERE active) AS policy,
    (SELECT count(*) FROM grounds.client) AS clients
"""


def migrate_command(data: Data = None) -> None:
    """Set up the database or migrate it to this version of Grounds, and print its version.

    The commands serve and demo also migrate the database.
    """
    with open_database_of(data, migrate=True) as (_, url):
        print(f"database version {_read_versions(url)['database_version']}")


def status_command(data: Data = None, json: AsJson = False) -> None:
    """Print the versions in use and the state of each background job."""
    from app.server.jobs import background_jobs
    from db.jobs import JobState, job_states

    with open_database_of(data) as (settings, url):
        versions = {"database": "external" if settings.database_url else "embedded"} | _read_versions(url)
        made = background_jobs(url, settings.secret_bytes(), offers=settings.offers, releases=settings.release_folder)
        names = [job.name for job in made]
        with psycopg.connect(url) as connection:
            found = job_states(connection)
    states = {name: found.get(name, JobState(None, None, None)) for name in names}
    if json:
        jobs = [{"name": name} | _as_json(state._asdict()) for name, state in states.items()]
        print_json(versions | {"jobs": jobs})
        return
    for name, value in versions.items():
        print(f"{name.replace('_', ' ')}: {value}")
    table = Table("job", "last success", "failing since", "error")
    for name, state in states.items():
        times = (f"{value:%Y-%m-%d %H:%M:%S %Z}" if value else "" for value in state[:2])
        table.add_row(name, *times, state.error_kind or ("overdue" if state.is_overdue else None))
    Console(highlight=False).print(table)


def _as_json(state: dict[str, Any]) -> dict[str, Any]:
    """Convert the state that `grounds status` prints to JSON values, with times as text."""
    return {
        name: value.isoformat() if name.endswith(("_at", "_since")) and value else value
        for name, value in state.items()
    }


def _read_versions(url: str) -> dict[str, Any]:
    """Read the versions that `grounds status` prints."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute(_STATUS_QUERY).fetchone()
    assert found is not None, "the statement gives one row"
    return found
