"""Every statement of every function, also where no test enters, read by Debian's plpgsql_check.

PostgreSQL looks at a statement of a function when it is first executed: a wrong one in a rare branch stays unseen.
"""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.support.installed_postgres import BINARIES

pytestmark = pytest.mark.plpgsql_check

# A trigger function is checked against each table of its triggers, with the transition tables that they name. A branch
# that asks for TG_TABLE_NAME or TG_OP is wrong for the other tables, so what fails for some of them only is no error.
CHECKED = """
WITH own AS (
    SELECT p.oid, p.prorettype = 'trigger'::regtype AS fires
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace s ON s.oid = p.pronamespace
    WHERE l.lanname = 'plpgsql' AND s.nspname = 'grounds'
), pair AS (
    SELECT own.oid, coalesce(t.tgrelid, 0) AS relation, max(t.tgoldtable) AS old, max(t.tgnewtable) AS new,
        count(*) OVER (PARTITION BY own.oid) AS relations
    FROM own LEFT JOIN pg_trigger t ON own.fires AND t.tgfoid = own.oid
    GROUP BY own.oid, t.tgrelid
)
"""
ERRORS = (
    CHECKED
    + """
SELECT DISTINCT p.oid::regproc::text || ' line ' || f.lineno || ': ' || f.message
FROM pair p, plpgsql_check_function_tb(
    p.oid, p.relation, fatal_errors => false, other_warnings => false, extra_warnings => false,
    oldtable => p.old, newtable => p.new
) f
WHERE f.level = 'error'
GROUP BY p.oid, p.relations, f.lineno, f.message HAVING count(DISTINCT p.relation) = p.relations
"""
)
UNFIRED = CHECKED + "SELECT oid::regproc::text FROM pair JOIN own USING (oid) WHERE fires AND relation = 0"
COUNT = CHECKED + "SELECT count(DISTINCT oid) FROM pair"
REMEDY = "Install Debian's postgresql-15-plpgsql-check and run with GROUNDS_TEST_POSTGRES=/usr/lib/postgresql/15/bin."
BROKEN = """
CREATE FUNCTION grounds.ambiguous(items bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(items) > 100 THEN
        RETURN (SELECT max(d.id) FROM grounds.delivery d WHERE d.id = items[1]);
    END IF;
    RETURN 0;
END $$;
CREATE FUNCTION grounds.misspelt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN NEW.platform_idd := 'x'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER misspelt BEFORE INSERT ON grounds.account FOR EACH ROW EXECUTE FUNCTION grounds.misspelt();
CREATE TRIGGER misspelt BEFORE INSERT ON grounds.content FOR EACH ROW EXECUTE FUNCTION grounds.misspelt();
"""


@pytest.fixture
def checker(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as connection:
        try:
            connection.execute("CREATE EXTENSION plpgsql_check")
        except (errors.UndefinedFile, errors.FeatureNotSupported):
            pytest.fail(f"{BINARIES or 'The embedded PostgreSQL'} has no plpgsql_check. {REMEDY}", pytrace=False)
        yield connection


def rows_as_text(connection: psycopg.Connection, query: str) -> list[str]:
    return sorted(row[0] for row in connection.execute(query.encode()))


def test_no_statement_of_any_function_is_wrong(checker: psycopg.Connection) -> None:
    assert int(rows_as_text(checker, COUNT)[0]) > 30
    assert rows_as_text(checker, ERRORS) == []


def test_every_trigger_function_belongs_to_a_trigger(checker: psycopg.Connection) -> None:
    assert rows_as_text(checker, UNFIRED) == []


def test_an_ambiguous_column_and_a_misspelt_one_are_found(checker: psycopg.Connection) -> None:
    checker.execute(BROKEN)
    assert rows_as_text(checker, ERRORS) == [
        'grounds.ambiguous line 4: column reference "items" is ambiguous',
        'grounds.misspelt line 3: record "new" has no field "platform_idd"',
    ]
