"""Row security on every table, by claims; a login role for each audience."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0002_claims.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
