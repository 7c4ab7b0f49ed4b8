"""The author's product beside each item, and indexes that every filter of a page can use."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0003_filters.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
