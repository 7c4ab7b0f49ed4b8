"""A server does not start over a database whose wall has a gap; each wall is taken away once."""

import psycopg
import pytest

from db.admin import DatabaseError
from db.walls import WALLS, check_walls

GAPS = {
    "the owner cannot log in": ("ALTER ROLE grounds_owner BYPASSRLS", "ALTER ROLE grounds_owner NOBYPASSRLS"),
    "a login role can do nothing beside": (
        "GRANT grounds_owner TO grounds_training",
        "REVOKE grounds_owner FROM grounds_training",
    ),
    "everything belongs to the owner": ("ALTER VIEW grounds.trainable_content OWNER TO CURRENT_USER", None),
    "the training role reads the compiled view": ("GRANT SELECT (id) ON grounds.content TO grounds_training", None),
    "the training role calls only": (
        "GRANT EXECUTE ON FUNCTION grounds.same_person(bigint[]) TO grounds_training",
        None,
    ),
    "staff and ingest cannot change": ("GRANT DELETE ON grounds.delivery TO grounds_staff", None),
    "nothing is open to everybody": ("GRANT EXECUTE ON FUNCTION grounds.decision_time() TO PUBLIC", None),
    "a compiled view is a barrier": ("ALTER VIEW grounds.trainable_content RESET (security_barrier)", None),
    "receipts are shown to their client only": ("ALTER TABLE grounds.delivery NO FORCE ROW LEVEL SECURITY", None),
    "the rules in force": ("DELETE FROM grounds.policy", None),
}


def test_a_migrated_database_has_no_gap(database_url: str) -> None:
    check_walls(database_url)


def test_every_wall_is_tried() -> None:
    assert all(any(wall.name.startswith(name) for name in GAPS) for wall in WALLS)
    assert len(GAPS) == len(WALLS)


@pytest.mark.parametrize("name", GAPS)
def test_a_wall_that_is_taken_away_is_named(database_url: str, name: str) -> None:
    breach, repair = GAPS[name]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(breach.encode())
        try:
            with pytest.raises(DatabaseError, match=name):
                check_walls(database_url)
        finally:
            if repair:  # roles are shared with the other databases of the cluster
                connection.execute(repair.encode())
