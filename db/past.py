"""Decide as of an earlier time: the very rules of today, over the facts as they were known then.

Views `past_…` show what each table held at the claimed `known_at`. The functions that derive a standing, and the
compiled decision, are taken as they are and pointed at these views: nothing is written twice, so nothing can differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from db.content import DecisionRow, decision_row
from db.policy.compile import decision_statement
from db.policy.document import Policy, parse_policy
from db.session import Reader

if TYPE_CHECKING:  # a server never migrates, and need not load it: a quarter of its cold start
    from sqlalchemy import Connection

VERSIONED = ("account", "notice", "objection", "consent", "content", "hold")
APPENDED = ("account_person", "account_contact", "objection_target", "quarantine")
FUNCTIONS = ("same_person(bigint[])", "objections_naming(bigint)", "standing_of(bigint[])")

_POINTED = (*VERSIONED, *APPENDED, "content_reference", "account_standing", "objection_in_force", "policy")
_LIVE = re.compile(rf"\bgrounds\.({'|'.join((*_POINTED, *(f.partition('(')[0] for f in FUNCTIONS)))})\b")
_KNOWN = "{0}.recorded_at <= (SELECT grounds.known_at())"
_THEN = f"{_KNOWN} AND {{0}}.replaced_at > (SELECT grounds.known_at())"
# A protective act counts from when it happened, or from when it was known where it was announced.
_ACTS = {"objection": "received_at", "hold": "opened_at"}
_HAPPENED = "({0}.{1} <= (SELECT grounds.valid_at()) OR {0}.recorded_at <= (SELECT grounds.valid_at()))"


def derive(connection: Connection) -> None:
    """Make the views and functions of the past anew, of the tables and functions as they are now."""
    dropped = [f"past_{name}" for name in ("account_standing", "objection_in_force", "content_reference")]
    for view in (*dropped, *(f"past_{name}" for name in (*VERSIONED, *APPENDED))):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS grounds.{view} CASCADE")
    for function in FUNCTIONS:
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS grounds.past_{function}")
    for statement in _statements(connection):
        connection.exec_driver_sql(statement)


def past(statement: str) -> str:
    """Point a statement at the past."""
    pointed = _LIVE.sub(r"grounds.past_\1", statement)
    return pointed.replace("grounds.decision_time()", "grounds.valid_at()").replace("grounds.superseded()", "FALSE")


async def decision_as_of(
    reader: Reader, number: int, valid_at: datetime, known_at: datetime
) -> tuple[DecisionRow, Policy] | None:
    """Decide an item as of an instant, by what was known at another one; None where it was not known then."""
    document = await reader.fetchval(_POLICY, valid_at.isoformat())
    policy = parse_policy(document)
    statement = f"""
SELECT d.*, '{policy.version}' AS policy, grounds.valid_at() AS decided_at
FROM (SELECT set_config('grounds.known_at', $2, TRUE) AS known, set_config('grounds.valid_at', $3, TRUE) AS valid,
          set_config('grounds.purpose', '{policy.purposes[0]}', TRUE) AS purpose OFFSET 0) claim
CROSS JOIN LATERAL (
    SELECT * FROM ({past(decision_statement(policy))}) decision
    WHERE id = $1 AND claim.known <> '' AND claim.valid <> '' AND claim.purpose <> '' OFFSET 0) d"""
    rows = await reader.fetch(statement, number, known_at.isoformat(), valid_at.isoformat())
    return (decision_row(rows[0]), policy) if rows else None


_POLICY = """
SELECT p.document
FROM (SELECT set_config('grounds.valid_at', $1, TRUE) AS valid OFFSET 0) claim
CROSS JOIN LATERAL (SELECT document::text FROM grounds.past_policy WHERE claim.valid <> '' OFFSET 0) p
"""


def _statements(connection: Connection) -> Iterator[str]:
    connection.exec_driver_sql("SET LOCAL search_path = pg_catalog")  # so that definitions come with every name whole
    for table in VERSIONED:
        yield _versions(table, _columns(connection, table))
    for table in APPENDED:
        columns = ", ".join(_columns(connection, table))
        yield _view(table, f"SELECT {columns} FROM grounds.{table} k WHERE {_KNOWN.format('k')}")
    yield _view("content_reference", _REFERENCES)
    in_force = connection.exec_driver_sql("SELECT pg_get_viewdef('grounds.objection_in_force'::regclass)").scalar_one()
    yield _view("objection_in_force", past(in_force))
    for function in FUNCTIONS:
        found = connection.exec_driver_sql(f"SELECT pg_get_functiondef('grounds.{function}'::regprocedure)")
        yield past(found.scalar_one()).replace("%", "%%")
    yield _view("account_standing", _standing(connection))


def _view(name: str, body: str) -> str:
    return f"CREATE VIEW grounds.past_{name} WITH (security_invoker) AS {body}"


def _versions(table: str, columns: list[str]) -> str:
    """Show the version of each row that was known: the current one, or the one that was later replaced."""
    happened = f" AND {_HAPPENED.format('k', _ACTS[table])}" if table in _ACTS else ""
    happened_then = f" AND {_HAPPENED.format('r', _ACTS[table])}" if table in _ACTS else ""
    # What a row is looked up by comes from the tables' own columns, which have indexes.
    looked_up = {"id": "v.id", "platform_id": "k.platform_id"}
    if table in ("notice", "consent", "content"):
        looked_up["account"] = "v.account"
    current = ", ".join(_told("k", column, f"k.{column}") for column in columns)
    earlier = ", ".join(_told("r", column, looked_up.get(column, f"r.{column}")) for column in columns)
    return _view(
        table,
        f"SELECT {current} FROM grounds.{table} k WHERE {_KNOWN.format('k')}{happened}\n"
        f"UNION ALL SELECT {earlier} FROM grounds.fact_version v JOIN grounds.{table} k ON k.id = v.id\n"
        f"CROSS JOIN LATERAL jsonb_populate_record(NULL::grounds.{table}, v.facts) r\n"
        f"WHERE v.relation = '{table}' AND {_THEN.format('v')}{happened_then}",
    )


def _told(row: str, column: str, value: str) -> str:
    if column == "deleted_at":
        return f"CASE WHEN {_HAPPENED.format(row, column)} THEN {value} END AS {column}"
    return f"{value} AS {column}"


_REFERENCES = f"""
SELECT k.content, k.account, k.relation FROM grounds.content_reference k JOIN grounds.content c ON c.id = k.content
WHERE {_KNOWN.format("c")}
UNION ALL SELECT v.id, r.account, r.relation FROM grounds.fact_version v
CROSS JOIN LATERAL jsonb_populate_recordset(NULL::grounds.content_reference, v."references") r
WHERE v.relation = 'content' AND {_THEN.format("v")}"""


def _columns(connection: Connection, table: str) -> list[str]:
    found = connection.exec_driver_sql(
        f"SELECT attname FROM pg_attribute WHERE attrelid = 'grounds.{table}'::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum"
    )
    return [name for (name,) in found]


def _standing(connection: Connection) -> str:
    """Derive an account's standing; what the table generates is generated alike."""
    columns = connection.exec_driver_sql(
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d"
        " ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = 's'"
        " WHERE a.attrelid = 'grounds.account_standing'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attnum"
    ).all()
    # Looked up by the account's number, and not by what the function gives back: of that there is no index.
    given = ", ".join("a.id AS account" if name == "account" else f"s.{name}" for name, made in columns if not made)
    generated = "".join(f", {made} AS {name}" for name, made in columns if made)
    return (
        f"SELECT d.*{generated} FROM (SELECT {given} FROM grounds.past_account a"
        " CROSS JOIN LATERAL grounds.past_standing_of(ARRAY[a.id]) s) d"
    )
