"""Straight at PostgreSQL, as the login roles of training clients, data subjects and dashboards: nothing sings there.

Whatever a role is told counts: rows, notices, errors with their details, plans, statistics, catalogues. ATTACKS take
one more in a line; in them {view} is each relation t that a role may read, {row} what is in a row, {leak} a function
that tells what it is called with. At the end each protection is removed, which must show as a leak.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.string import TextLoader

from db.access.declaration import DASHBOARD, SUBJECT, TABLES, TRAINING, VIEWS
from tests.db.access.test_declaration import claim, login
from tests.support.canaries import CanaryWorld, canary_database, canary_world, copy_of, heard
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import open_gateway
from tests.support.leak_probe import SIZES
from tests.support.ordinary_cases import ordinary_every

pytestmark = pytest.mark.database

Connection = psycopg.Connection[tuple[Any, ...]]
ROLES = (TRAINING, SUBJECT, DASHBOARD)
# It lies about being immutable, or it would not be moved towards the rows.
LEAK = """CREATE FUNCTION {}.leak(told text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0000001
  AS $$ BEGIN RAISE NOTICE 'told: %', told; RETURN TRUE; END $$"""
UNTOLD = "-tail-"  # stands in every hidden text, and in no question of ours
FAILING = f"(CASE WHEN strpos({{row}}, '{UNTOLD}') > 0 THEN 'told: ' || {{row}} ELSE '1' END)::int"

ATTACKS = {
    "a leaky function": ["SELECT count(*) FROM {view} t WHERE {leak}({row})"],
    "one beside a filter": [f"SELECT 1 FROM {{view}} t WHERE {{leak}}({{row}}) AND strpos({{row}}, '{UNTOLD}') > 0"],
    "one in an order": ["SELECT 1 FROM {view} t ORDER BY {leak}({row})"],
    "one in a join": ["SELECT 1 FROM {view} t JOIN {view} u ON {leak}({row}) AND t::text = u::text"],
    "one beside each row": ["SELECT 1 FROM {view} t CROSS JOIN LATERAL (SELECT {leak}({row}) OFFSET 0) l"],
    "one in an aggregate": ["SELECT count(*) FILTER (WHERE {leak}({row})) FROM {view} t"],
    "one in groups": ["SELECT 1 FROM {view} t GROUP BY {leak}({row}) HAVING bool_or({leak}({row}))"],
    "one over a window": ["SELECT count(*) OVER (PARTITION BY {leak}({row})) FROM {view} t"],
    "one in a sub-select": ["SELECT 1 WHERE EXISTS (SELECT FROM {view} t WHERE {leak}({row}) OFFSET 100000)"],
    "one behind a limit": ["SELECT 1 FROM {view} t WHERE {leak}({row}) LIMIT 1 OFFSET 1000"],
    "one as an operator": [
        "CREATE OPERATOR pg_temp.<<< (FUNCTION = {leak}, RIGHTARG = text)",
        "SELECT 1 FROM {view} t WHERE OPERATOR(pg_temp.<<<) {row}",
    ],
    "one said not to leak": ["ALTER FUNCTION {leak}(text) LEAKPROOF", "SELECT 1 FROM {view} t WHERE {leak}({row})"],
    "a cast that fails": ["SELECT ({row})::int FROM {view} t", "SELECT 1 FROM {view} t WHERE ({row})::int = 1"],
    "a cast that fails on what is hidden": ["SELECT 1 FROM {view} t WHERE " + FAILING + " = 1"],
    "a division": [f"SELECT 1 FROM {{view}} t WHERE 1 / strpos('{UNTOLD}', left({{row}}, 1)) = 1"],
    "plans": [
        f"EXPLAIN (ANALYZE, VERBOSE, FORMAT {form}) SELECT * FROM {{view}} t WHERE strpos({{row}}, 'a') > 0"
        for form in ("TEXT", "JSON", "XML")
    ],
    "debugging": [
        "SET client_min_messages = debug5; SET debug_print_plan = on; SET debug_print_rewritten = on",
        "SELECT * FROM {view}",
    ],
    "copies": [f"COPY (SELECT * FROM {{view}}) TO STDOUT {how}" for how in ("", "(FORMAT csv)", "(FORMAT binary)")],
    "a cursor that is held": [
        "BEGIN; DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT * FROM {view}; COMMIT",
        "FETCH ALL FROM held; FETCH BACKWARD ALL FROM held",
    ],
    "an old snapshot": ["BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM {view}; SELECT * FROM {view}; COMMIT"],
    "a prepared statement": ["PREPARE page AS SELECT * FROM {view} t WHERE t::text > $1", "EXECUTE page('')"],
    "a view of one's own": ["CREATE TEMP VIEW mine AS SELECT * FROM {view}; SELECT * FROM mine t WHERE {leak}({row})"],
    "a table of one's own": ["CREATE TEMP TABLE mine AS SELECT * FROM {view}; ANALYZE mine; SELECT * FROM pg_stats"],
    "functions that hide the gateway's": [
        "CREATE FUNCTION pg_temp.decision_time() RETURNS timestamptz RETURN 'infinity'",
        "CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text RETURN '1'",
        "SET search_path = pg_temp, grounds, pg_catalog; SELECT * FROM {view}",
        "SET search_path = grounds; SELECT * FROM {view}",
    ],
    "as XML": ["SELECT query_to_xml('SELECT * FROM {view}', TRUE, FALSE, '')"],
    "a large offset": ["SELECT * FROM {view} OFFSET 100000", "SELECT * FROM {view} t ORDER BY t::text DESC"],
    "locks": ["SELECT * FROM {view} FOR UPDATE", "LOCK TABLE {view} IN ACCESS SHARE MODE"],
    "changes": ["DELETE FROM {view} t RETURNING t::text", "CREATE RULE r AS ON SELECT TO {view} DO INSTEAD NOTHING"],
}
SETTINGS = (
    *("row_security = off", "session_replication_role = replica", "transform_null_equals = on"),
    *("TimeZone = 'Pacific/Kiritimati'", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'"),
    *("enable_seqscan = on", "enable_indexscan = off", "plan_cache_mode = force_custom_plan", "jit = on"),
    *("from_collapse_limit = 1", "constraint_exclusion = on", "default_transaction_isolation = serializable"),
    *("ROLE grounds_owner", "ROLE grounds_staff", "SESSION AUTHORIZATION grounds_staff", "ROLE postgres"),
)
HIDDEN = "grounds.content"
FORBIDDEN = [
    *(f"SELECT * FROM grounds.{name}" for name in (*TABLES, *VIEWS)),
    *(f"COPY grounds.{name} TO STDOUT" for name in TABLES),
    *(f"INSERT INTO grounds.{name} DEFAULT VALUES RETURNING *" for name in TABLES),
    f"COPY {HIDDEN} TO PROGRAM 'cat'",
    f"DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM {HIDDEN} LOOP RAISE NOTICE '%', r; END LOOP; END $$",
    f"CREATE TEMP VIEW theirs AS SELECT * FROM {HIDDEN}; SELECT * FROM theirs",
    f"CREATE TEMP TABLE like_it (LIKE {HIDDEN} INCLUDING ALL)",
    f"CREATE TEMP TABLE heir () INHERITS ({HIDDEN})",
    f"CREATE TEMP TABLE referring (id bigint REFERENCES {HIDDEN}); INSERT INTO referring VALUES (1)",
    f"CREATE FUNCTION pg_temp.all() RETURNS SETOF {HIDDEN} SECURITY DEFINER BEGIN ATOMIC SELECT * FROM {HIDDEN}; END",
    f"SELECT query_to_xml('SELECT * FROM {HIDDEN}', TRUE, FALSE, ''), table_to_xml('{HIDDEN}', TRUE, FALSE, '')",
    "SELECT schema_to_xml('grounds', TRUE, FALSE, ''), database_to_xml(TRUE, FALSE, '')",
    f"SELECT * FROM ts_stat('SELECT text::tsvector FROM {HIDDEN}')",
    f"SELECT currtid2('{HIDDEN}', '(0,1)'), pg_relation_size('{HIDDEN}')",
    f"ANALYZE VERBOSE {HIDDEN}; VACUUM VERBOSE {HIDDEN}",
    f"EXPLAIN ANALYZE SELECT * FROM {HIDDEN}",
    "SELECT nextval('grounds.content_id_seq'), currval('grounds.content_id_seq'), lastval()",
    "SELECT * FROM grounds.content_id_seq",
    "SELECT pg_read_file('pg_hba.conf'), pg_ls_dir('.')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT pg_create_logical_replication_slot('s', 'test_decoding')",
    "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = 'grounds'::regnamespace",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'grounds'::regnamespace",
    "SELECT grounds.standing_of(ARRAY(SELECT generate_series(1, 500)))",
    "SELECT grounds.linked_accounts(ARRAY(SELECT generate_series(1, 500)))",
    "SELECT grounds.accounts_of_person(n) FROM generate_series(1, 500) n",
    "SELECT grounds.known_of_person(ARRAY(SELECT generate_series(1, 500)))",
    "SELECT grounds.objections_naming(n) FROM generate_series(1, 500) n",
    "SELECT grounds.refresh_standing(ARRAY[1]::bigint[])",
    "SELECT grounds.refresh_standing_by_person(ARRAY[1]::bigint[])",
    "SELECT grounds.register_client('one more')",
    "SELECT grounds.write_receipt(ARRAY(SELECT generate_series(1, 500)))",
]
PLACES = {"content", "account", "text", "tail", "media", "lang", "notice", "objection", "consent", "person", "hash"}
LOOSENED: dict[str, tuple[str, list[str]]] = {
    "a view that is no barrier": (
        TRAINING,
        ["ALTER VIEW grounds.trainable_content SET (security_barrier = FALSE)"],
    ),
    "a table that is granted, without rules": (
        TRAINING,
        [f"ALTER TABLE {HIDDEN} DISABLE ROW LEVEL SECURITY", f"GRANT SELECT ON {HIDDEN} TO {TRAINING}"],
    ),
    "a table that is granted": (
        DASHBOARD,
        [f"GRANT SELECT ON {HIDDEN} TO {DASHBOARD}", f"CREATE POLICY more ON {HIDDEN} TO {DASHBOARD} USING (TRUE)"],
    ),
    "a rule that is open": (SUBJECT, [f"ALTER POLICY {SUBJECT} ON {HIDDEN} USING (TRUE)"]),
    "a table without rules": (SUBJECT, [f"ALTER TABLE {HIDDEN} DISABLE ROW LEVEL SECURITY"]),
    "a view that reads as its owner": (
        SUBJECT,
        [f"CREATE VIEW grounds.more AS SELECT * FROM {HIDDEN}", f"GRANT SELECT ON grounds.more TO {SUBJECT}"],
    ),
}


@dataclass(frozen=True)
class Loaded:
    """A world, its database, and the account that the data subjects' login asks as."""

    world: CanaryWorld
    url: str
    subject: str
    rows: dict[str, list[str]]  # what is in a row of a relation: all, and the text by itself, which needs no join


@pytest.fixture(scope="module")
def loaded(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    world = canary_world()
    url = canary_database(cluster, world, tmp_path_factory.mktemp("loaded"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(LEAK.format("public").encode())
        connection.execute(f"GRANT EXECUTE ON FUNCTION public.leak TO {', '.join(ROLES)}".encode())
        found = connection.execute(
            "SELECT value FROM grounds.objection_target JOIN grounds.account ON platform_id = value AND is_known"
            " WHERE objection_target.kind = 'ACCOUNT' AND value ~ 'canary' ORDER BY objection"
        ).fetchone()
        columns = connection.execute(
            "SELECT attrelid::regclass::text, array_agg('t.' || attname) FROM pg_attribute a JOIN pg_class c"
            " ON c.oid = attrelid WHERE relnamespace = 'grounds'::regnamespace AND attnum > 0 GROUP BY attrelid"
        ).fetchall()
    assert found is not None
    rows = {view: [f"concat_ws('|', {', '.join(names)})", *({"t.text"} & set(names))] for view, names in columns}
    return Loaded(world, url, found[0], rows)


class Attacker:
    """A database session that keeps all that it receives: rows, notices, and errors with their details."""

    def __init__(self, loaded: Loaded, role: str, connection: Connection) -> None:
        self._loaded, self._role, self._connection = loaded, role, connection
        for kind in ("timestamptz", "timestamp", "date", "tstzmultirange", "tstzrange"):
            connection.adapters.register_loader(kind, TextLoader)  # they may be infinite
        connection.add_notice_handler(self._note)
        connection.prepare_threshold = None  # what the driver prepared would be discarded between attacks
        self.said: list[str] = []

    def attack(self, *statements: str) -> list[str]:
        """Run statements in a session that is as new, with the claims of the role; return the canaries heard."""
        self.said = []
        self._run("ROLLBACK")
        self._run("DISCARD ALL")
        self._claim()
        self._run("SET default_transaction_read_only = off")
        for statement in statements:
            self._run(statement)
        number = self._loaded.world.numbers[self._loaded.subject]
        return heard("\n".join(self.said), PLACES, number) if self._role == SUBJECT else heard("\n".join(self.said))

    def _claim(self) -> None:
        if self._role == TRAINING:
            client = "set_config('grounds.client', grounds.register_client('client')::text, FALSE)"
            self._connection.execute(f"SELECT {client}".encode())
            claim(self._connection, "purpose", "GENAI_TRAINING")
        elif self._role == SUBJECT:
            claim(self._connection, "subject", self._loaded.subject)
        else:
            for name in ("client", "purpose", "examiner", "subject", "ingest"):
                claim(self._connection, name, "1")

    def _run(self, statement: str) -> None:
        try:
            if statement.startswith("COPY") and "TO STDOUT" in statement:
                with self._connection.cursor().copy(statement.encode()) as copy:
                    self.said += (bytes(block).decode("latin-1") for block in copy)
                return
            cursor = self._connection.execute(statement.encode())
            self.said += map(str, cursor.fetchall() if cursor.description else ())
            while cursor.nextset():
                self.said += map(str, cursor.fetchall() if cursor.description else ())
        except psycopg.Error as error:
            self._note(error.diag)
            self.said.append(f"{type(error).__name__}: {error}")

    def _note(self, told: psycopg.errors.Diagnostic) -> None:
        self.said += (str(value) for name in dir(told) if not name.startswith("_") and (value := getattr(told, name)))


@contextmanager
def attacker(loaded: Loaded, role: str, url: str | None = None) -> Iterator[Attacker]:
    with login(url or loaded.url, role) as connection:
        yield Attacker(loaded, role, connection)


def readable(role: str) -> list[str]:
    """Name the relations that a role may read."""
    tables = [name for name, roles in TABLES.items() if role in roles and "SELECT" in roles[role].privileges]
    return [f"grounds.{name}" for name in (*tables, *(view for view, roles in VIEWS.items() if role in roles))]


def attacks(loaded: Loaded, role: str, *leaks: str) -> Iterator[tuple[str, list[str]]]:
    """Write every attack on every relation that a role may read, and on those that it may not."""
    for leak, view in product(leaks, readable(role)):
        made = [LEAK.format("pg_temp")] if leak.startswith("pg_temp") else []
        for row, (name, statements) in product(loaded.rows[view], ATTACKS.items()):
            words = {"{view}": view, "{leak}": leak, "{row}": row}
            yield f"{name} on {row} of {view}", [*made, *(filled(statement, words) for statement in statements)]
    yield from ((statement, statement.split("; ")) for statement in FORBIDDEN)
    for setting in SETTINGS:
        reading = (f"SELECT * FROM {view}" for view in readable(role))
        yield setting, [f"SET {setting}", *reading, f"SELECT * FROM {HIDDEN}"]
    yield "a view that was made by mistake", ["SELECT * FROM grounds.more"]


def filled(statement: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        statement = statement.replace(word, meaning)
    return statement


@pytest.mark.parametrize("role", ordinary_every(3, ROLES))
def test_no_attack_hears_anything(loaded: Loaded, role: str) -> None:
    heeded = 0
    with attacker(loaded, role) as attacking:
        for name, statements in attacks(loaded, role, "pg_temp.leak", "public.leak"):
            assert attacking.attack(*statements) == [], name
            heeded += any("told: " in said for said in attacking.said)
    assert heeded > 20, "the leaky functions were not even called"


@pytest.mark.parametrize("role", ordinary_every(3, ROLES))
def test_no_catalogue_and_no_storage_holds_anything(loaded: Loaded, role: str) -> None:
    with psycopg.connect(loaded.url) as connection:
        relations = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'v', 'm', 't', 'S', 'i')"
            " AND c.relnamespace <> 'grounds'::regnamespace"
        ).fetchall()
        assert heard(str(connection.execute("SELECT most_common_vals::text FROM pg_stats").fetchall()))
    assert len(relations) > 200
    with attacker(loaded, role) as attacking:
        for (relation,) in relations:
            assert attacking.attack(f"SELECT * FROM {relation}") == [], relation


@pytest.mark.parametrize("name", ordinary_every(3, LOOSENED))
def test_a_wall_that_is_taken_away_is_heard(loaded: Loaded, name: str) -> None:
    role, loosening = LOOSENED[name]
    with copy_of(loaded.url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in loosening:
                connection.execute(statement.encode())
        with attacker(loaded, role, url) as attacking:
            assert any(attacking.attack(*statements) for _, statements in attacks(loaded, role, "public.leak"))


@pytest.mark.parametrize(
    ("fresh", "sizes"),
    [
        pytest.param(True, SIZES[2:4], id="fresh"),
        pytest.param(False, SIZES, id="pooled"),
        pytest.param(True, SIZES, id="fresh, every size", marks=pytest.mark.long),
    ],
)
def test_the_pages_of_the_training_login_are_what_is_permitted(
    loaded: Loaded, fresh: bool, sizes: tuple[int, ...]
) -> None:
    names = {number: item for item, number in numbers(loaded.url, "content").items()}
    for first in sizes:
        items: list[str] = []
        with login(loaded.url, TRAINING) as kept:
            after, rows = 0, [(0,)]
            while rows:
                with login(loaded.url, TRAINING) if fresh else nullcontext(kept) as asked:
                    rows = page(asked, after, first)
                assert heard(str(rows)) == []
                items += (names[row[0]] for row in rows)
                after = rows[-1][0] if rows else after
        assert sorted(items) == sorted(loaded.world.permitted), first


def numbers(url: str, table: str) -> dict[str, int]:
    """Number what is in a table, by what the platform calls it."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute(f"SELECT platform_id, id FROM grounds.{table}".encode()).fetchall())


def page(connection: Connection, after: int, first: int) -> list[tuple[Any, ...]]:
    with connection.transaction():
        connection.execute("SELECT set_config('grounds.client', grounds.register_client('client')::text, TRUE)")
        connection.execute("SELECT set_config('grounds.purpose', 'GENAI_TRAINING', TRUE)")
        statement = "SELECT * FROM grounds.trainable_content WHERE id > %s ORDER BY id LIMIT %s"
        return connection.execute(statement, [after, first]).fetchall()


@pytest.mark.parametrize("each", [5, pytest.param(1, marks=pytest.mark.long)], ids=["every fifth", "every one"])
def test_a_division_by_a_hidden_number_does_not_fail(loaded: Loaded, each: int) -> None:
    with attacker(loaded, TRAINING) as attacking:
        for item, number in list(numbers(loaded.url, "content").items())[::each]:
            attacking.attack(f"SELECT 1 FROM grounds.trainable_content WHERE 1 / (id - {number}) IS NOT NULL")
            failed = any("DivisionByZero" in said for said in attacking.said)
            assert failed is (item in loaded.world.permitted), item


def test_the_claims_of_others_yield_their_receipts_and_nothing_more(loaded: Loaded) -> None:
    with copy_of(loaded.url) as url, psycopg.connect(url, autocommit=True) as connection:
        ((other,),) = connection.execute("SELECT grounds.register_client('other')").fetchall()
        connection.execute("SELECT set_config('grounds.client', %s, FALSE)", [str(other)])
        connection.execute("SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)")
        connection.execute("SELECT grounds.write_receipt(ARRAY[1, 2])")
        with attacker(loaded, TRAINING, url) as attacking:
            for name, who in product(
                ("client", "subject", "examiner", "ingest"), (other, "plain-0", "PRIVACY_OFFICER")
            ):
                assert attacking.attack(f"SET grounds.{name} = '{who}'", *FORBIDDEN) == []
                attacking.attack(f"SET grounds.{name} = '{who}'", "SELECT ARRAY[lowest, highest] FROM grounds.delivery")
                assert ("([1, 2],)" in attacking.said) is (name == "client" and who == other)


async def test_nothing_outlives_an_objection_but_what_was_taken_before(loaded: Loaded, tmp_path: Path) -> None:
    read = "SELECT account FROM grounds.trainable_content"
    with copy_of(loaded.url) as url, login(url, TRAINING) as connection, login(url, TRAINING) as held:
        for each in (connection, held):
            each.execute("SELECT set_config('grounds.client', grounds.register_client('client')::text, FALSE)")
            claim(each, "purpose", "GENAI_TRAINING")
        connection.execute(f"PREPARE page AS {read}".encode())
        held.execute(f"BEGIN; DECLARE taken CURSOR WITH HOLD FOR {read}; COMMIT".encode())
        (author, *_), *_ = connection.execute("EXECUTE page").fetchall()
        async with open_gateway(url, tmp_path) as gateway:
            ((name,),) = gateway.execute("SELECT platform_id FROM grounds.account WHERE id = %s", author)
            objection = fact("objection", id="at last", account=name, received_at=(NOW - DAY).isoformat())
            assert (await gateway.ingest([objection]))["total"]["accepted"] == 1
        assert (author,) not in connection.execute("EXECUTE page").fetchall()
        assert (author,) not in held.execute(read.encode()).fetchall()
        taken = held.execute("FETCH ALL FROM taken").fetchall()
        assert len(taken) == len(loaded.world.permitted)


def test_a_data_subjects_login_learns_of_no_objection_but_those_that_reach_its_account(loaded: Loaded) -> None:
    accounts = numbers(loaded.url, "account")
    with login(loaded.url, SUBJECT) as connection:
        claim(connection, "subject", loaded.subject)
        statement = "SELECT n FROM unnest(%s::bigint[]) n WHERE EXISTS (SELECT FROM grounds.objections_affecting(n))"
        reached = connection.execute(statement, [list(accounts.values())]).fetchall()
    assert reached == [(accounts[loaded.subject],)]
