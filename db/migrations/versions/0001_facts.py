"""Facts, standing, receipts and the roles that may reach them."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    folder = Path(__file__).parents[1] / "sql"
    for part in ("0001_facts.sql", "0001_standing.sql", "0001_events.sql", "0001_deliveries.sql", "0001_walls.sql"):
        op.get_bind().exec_driver_sql((folder / part).read_text(encoding="utf-8"))
