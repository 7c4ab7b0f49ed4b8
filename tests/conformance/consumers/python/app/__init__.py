from pathlib import Path

from db import stored
from schema import FIELDS


def pulled() -> dict[str, str]:
    query = (Path(__file__).parents[1] / "operations" / "pull.graphql").read_text()
    return {field: stored(field) for field in FIELDS if field in query}
