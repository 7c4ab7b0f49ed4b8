"""The views of the past, which show the content of each table at the claimed `known_at`.

The functions that derive a standing, and the compiled decision, are taken as they are and pointed at these views:
nothing is written twice, so nothing can differ.
"""

import re
from collections.abc import Iterator

import psycopg

VERSIONED = ("account", "notice", "campaign", "objection", "consent", "content", "hold")
APPENDED = ("account_person", "account_contact", "objection_target", "quarantine", "placeholder")
FUNCTIONS = (
    *(
        "placeholders_in_effect()",
        "links_nothing(text, text)",
        "linked_accounts(bigint[])",
        "objections_naming(bigint)",
        "said_of_person(bigint[])",
    ),
    "is_set_aside(text, text, timestamp with time zone)",
    *("known_by_links(bigint[])", "notices_of(bigint, text, integer)", "standing_of(bigint[])", "told_by_campaigns()"),
    "family_of(text)",
    "contact_standing_of(text[])",
)

# A function with a setting of its own is planned by itself, once it is called. As parts of a decision, which reads 20
# standings, these took it 1 s to plan. The cost keeps the planner from calling one for more than is asked for.
_PLANNED_BY_THEMSELVES = {"standing_of", "contact_standing_of", "family_of", "told_by_campaigns"}
_BY_ITSELF = " STABLE COST 100000 ROWS 1\n SET search_path TO pg_catalog, pg_temp\n"

_POINTED = (
    *VERSIONED,
    *APPENDED,
    "content_reference",
    "referenced_contact",
    "account_standing",
    "campaign_told",
    "objection_in_force",
    "policy",
)
_LIVE = re.compile(rf"\bgrounds\.({'|'.join((*_POINTED, *(f.partition('(')[0] for f in FUNCTIONS)))})\b")
_KNOWN = "{0}.recorded_at <= (SELECT grounds.known_at())"
_THEN = f"{_KNOWN} AND {{0}}.replaced_at > (SELECT grounds.known_at())"
# A protective act counts from when it happened, or from when it was known where it was announced.
_ACTS = {"objection": "received_at", "hold": "opened_at"}
_HAPPENED = "({0}.{1} <= (SELECT grounds.valid_at()) OR {0}.recorded_at <= (SELECT grounds.valid_at()))"


def derive_past_views(connection: psycopg.Connection) -> None:
    """Create the views and functions of the past anew from the tables and functions as they are now."""
    connection.execute("SET LOCAL check_function_bodies = off")  # a function may read a view that comes after it
    dropped = ["past_referenced_contact"]
    dropped += [
        f"past_{name}" for name in ("account_standing", "campaign_told", "objection_in_force", "content_reference")
    ]
    for view in (*dropped, *(f"past_{name}" for name in (*VERSIONED, *APPENDED))):
        connection.execute(f"DROP VIEW IF EXISTS grounds.{view} CASCADE".encode())
    for function in FUNCTIONS:
        connection.execute(f"DROP FUNCTION IF EXISTS grounds.past_{function}".encode())
    for statement in _statements(connection):
        connection.execute(statement.encode())


def rewrite_for_past(statement: str) -> str:
    """Rewrite an SQL statement so that it reads the views of the past."""
    # Groups of accounts and families are kept of now; what they were then follows from the facts that were known.
    derived = statement.replace("grounds.known_of_person(", "grounds.known_by_links(").replace(
        "grounds.family f ON f.id = c.family", "LATERAL grounds.family_of(c.family) f ON TRUE"
    )
    pointed = _LIVE.sub(r"grounds.past_\1", derived)
    return pointed.replace("grounds.decision_time()", "grounds.valid_at()").replace(
        "grounds.decisions_pending()", "FALSE"
    )


def _statements(connection: psycopg.Connection) -> Iterator[str]:
    """Write the SQL statements that create each view and function of the past."""
    connection.execute("SET LOCAL search_path = pg_catalog")  # so that definitions come with every name whole
    for table in VERSIONED:
        yield _version_query(table, _columns(connection, table))
    for table in APPENDED:
        columns = ", ".join(_columns(connection, table))
        yield _create_view(table, f"SELECT {columns} FROM grounds.{table} k WHERE {_KNOWN.format('k')}")
    yield _create_view("content_reference", _REFERENCES)
    yield _create_view(
        "objection_in_force",
        rewrite_for_past(_function_definition(connection, "viewdef('grounds.objection_in_force'::regclass)")),
    )
    for function in FUNCTIONS:
        definition = _function_definition(connection, f"functiondef('grounds.{function}'::regprocedure)")
        if function.partition("(")[0] in _PLANNED_BY_THEMSELVES:
            definition = definition.replace(" STABLE\n", _BY_ITSELF, 1)
        yield rewrite_for_past(definition)
    yield _create_view("account_standing", _derive_past_standing(connection))
    yield _create_view("referenced_contact", _CONTACTS)
    yield _create_view("campaign_told", "SELECT purpose, told FROM grounds.past_told_by_campaigns()")


def _function_definition(connection: psycopg.Connection, of: str) -> str:
    """Read the definition of a view or a function, to rewrite it for the past."""
    ((definition,),) = connection.execute(f"SELECT pg_get_{of}".encode()).fetchall()
    return str(definition)


def _create_view(name: str, body: str) -> str:
    """Write the statement that creates a view of the past."""
    return f"CREATE VIEW grounds.past_{name} WITH (security_invoker) AS {body}"


def _version_query(table: str, columns: list[str]) -> str:
    """Select the version of each row that was known in the past: the current one, or one replaced later."""
    happened = f" AND {_HAPPENED.format('k', _ACTS[table])}" if table in _ACTS else ""
    happened_then = f" AND {_HAPPENED.format('r', _ACTS[table])}" if table in _ACTS else ""
    # What a row is looked up by comes from the tables' own columns, which have indexes.
    looked_up = {"id": "v.id", "platform_id": "k.platform_id"}
    if table == "account":
        looked_up["own_contact"] = "k.own_contact"  # follows from its id
    if table in ("notice", "consent", "content"):
        looked_up["account"] = "v.account"
    if table == "content":
        looked_up["family"] = "v.facts ->> 'family'"
    current = ", ".join(_past_column("k", column, f"k.{column}") for column in columns)
    earlier = ", ".join(_past_column("r", column, looked_up.get(column, f"r.{column}")) for column in columns)
    return _create_view(
        table,
        f"SELECT {current} FROM grounds.{table} k WHERE {_KNOWN.format('k')}{happened}\n"
        f"UNION ALL SELECT {earlier} FROM grounds.fact_version v JOIN grounds.{table} k ON k.id = v.id\n"
        f"CROSS JOIN LATERAL jsonb_populate_record(NULL::grounds.{table}, v.facts) r\n"
        f"WHERE v.relation = '{table}' AND {_THEN.format('v')}{happened_then}",
    )


def _past_column(row: str, column: str, value: str) -> str:
    """Write the expression of a column in a view of the past; a later deletion had not happened yet."""
    if column == "deleted_at":
        return f"CASE WHEN {_HAPPENED.format(row, column)} THEN {value} END AS {column}"
    return f"{value} AS {column}"


_REFERENCES = f"""
SELECT k.content, k.account, k.contact, k.relation
FROM grounds.content_reference k JOIN grounds.content c ON c.id = k.content
WHERE {_KNOWN.format("c")}
UNION ALL SELECT v.id, r.account, r.contact, r.relation FROM grounds.fact_version v
CROSS JOIN LATERAL jsonb_populate_recordset(NULL::grounds.content_reference, v."references") r
WHERE v.relation = 'content' AND {_THEN.format("v")}"""


_CONTACTS = """
SELECT k.id, s.* FROM grounds.referenced_contact k
CROSS JOIN LATERAL grounds.past_contact_standing_of(ARRAY[k.contact]) s"""


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    """Read the columns of the table of which a view of the past is made."""
    found = connection.execute(
        f"SELECT attname FROM pg_attribute WHERE attrelid = 'grounds.{table}'::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum".encode()
    )
    return [name for (name,) in found]


def _derive_past_standing(connection: psycopg.Connection) -> str:
    """Derive an account's standing in the past; what the table generates is generated alike."""
    columns = connection.execute(
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d"
        " ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = 's'"
        " WHERE a.attrelid = 'grounds.account_standing'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attnum"
    ).fetchall()
    # Looked up by the account's number, and not by what the function gives back: of that there is no index.
    given = ", ".join("a.id AS account" if name == "account" else f"s.{name}" for name, made in columns if not made)
    generated = "".join(f", {made} AS {name}" for name, made in columns if made)
    return (
        f"SELECT d.*{generated} FROM (SELECT {given} FROM grounds.past_account a"
        " CROSS JOIN LATERAL grounds.past_standing_of(ARRAY[a.id]) s) d"
    )
