"""An example of each record and each value. Error messages about a faulty line show the right example."""

import json
from functools import cache
from importlib import resources
from typing import Any

EXAMPLES = "examples.ndjson"


@cache
def example_records() -> dict[str, dict[str, Any]]:
    """Read an example of each record, with a value for every field that can have one."""
    text = (resources.files("db") / "ingest" / EXAMPLES).read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        record = json.loads(line)
        known = found.setdefault(record["record"], record)
        known |= {name: value for name, value in record.items() if known[name] is None}
    return found


def example_of(record: str, place: tuple[int | str, ...]) -> Any:
    """Return a right value for a place in a record, such as `media.0.type`; None where there is no example of one."""
    found: Any = example_records().get(record)
    for part in place:
        if isinstance(part, str) and isinstance(found, dict):
            found = found.get(part)
        elif isinstance(part, int) and isinstance(found, list):
            found = found[0] if found else None
        elif isinstance(found, dict | list):
            return None
    return found
