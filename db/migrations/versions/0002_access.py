"""Row security on every table, by claims; a login role for each audience."""

from pathlib import Path

from alembic import op

from db.access import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    connection = op.get_bind()
    sql = Path(__file__).parents[1] / "sql" / "0002_claims.sql"
    connection.exec_driver_sql(sql.read_text(encoding="utf-8"))
    # Views are left to the policy that compiles them.
    tables = connection.exec_driver_sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'grounds'::regnamespace AND relkind IN ('r', 'v')"
    )
    for statement in statements(frozenset(row[0] for row in tables)):
        connection.exec_driver_sql(statement)
