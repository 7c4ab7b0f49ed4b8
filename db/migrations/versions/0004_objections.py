"""Objections that reach an account are told to its own data subject only."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0004_objections.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
