"""Whoever received what is no longer permitted is told, and acknowledges."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0009_retractions.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
