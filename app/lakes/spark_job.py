"""Decide about a lake with Spark: `spark-submit spark_job.py LAKE STATEMENT OUTPUT`. It needs nothing but Spark 4.1.

`STATEMENT` is a file with what `grounds lake compile LAKE --dialect spark` prints. The decisions are written to
`OUTPUT`, a folder of Parquet files. The session's time zone changes nothing.
"""

import sys
from pathlib import Path

TABLES = ("content", "account_standing", "content_reference", "referenced_contact", "family")
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.cteRecursionRowLimit": "-1",  # the walk up has a row per item and parent
    "spark.sql.cteRecursionLevelLimit": "100",
}


def main(lake: str, statement: str, output: str) -> None:
    """Decide about a lake with Spark, and write the decisions."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.appName("grounds lake").getOrCreate()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    for table in TABLES:
        session.read.parquet(f"{lake}/facts/{table}-*.parquet").createOrReplaceTempView(table)
    session.sql(Path(statement).read_text(encoding="utf-8")).write.mode("error").parquet(output)
    session.stop()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: spark-submit spark_job.py LAKE STATEMENT OUTPUT")
    main(*sys.argv[1:])
