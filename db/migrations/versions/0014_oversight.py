"""What officers oversee: clients, objections that reach nobody, whom notices reached."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    sql = Path(__file__).parents[1] / "sql" / "0014_oversight.sql"
    op.get_bind().exec_driver_sql(sql.read_text(encoding="utf-8"))
