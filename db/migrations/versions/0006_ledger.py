"""Receipts are chained in batches, signed."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0006_ledger.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
