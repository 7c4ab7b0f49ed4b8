"""Where the checkout and its schema lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "schema" / "schema.graphql"
