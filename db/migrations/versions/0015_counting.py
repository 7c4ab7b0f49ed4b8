"""What officers count, in time that a platform of any size has."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0015_counting.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
