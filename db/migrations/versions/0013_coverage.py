"""What is permitted and what is not is counted once a day, and published so that nobody can be singled out."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0013_coverage.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
