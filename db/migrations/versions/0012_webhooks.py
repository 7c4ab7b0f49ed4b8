"""Retractions are posted to where their client wants them."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0012_webhooks.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
