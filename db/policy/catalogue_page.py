"""Write the catalogue of conditions as a page: `./run python -m db.policy.catalogue_page`."""

from pathlib import Path

from db.policy.conditions import CONDITIONS
from db.policy.grounds import GROUNDS

PAGE = Path(__file__).with_name("CONDITIONS.md")

_HEAD = """\
# Conditions

`./run python -m db.policy.catalogue_page` writes this page from [conditions.py](conditions.py). A test compares them.
An item is permitted if every condition that its ground requires has the outcome PASS. UNKNOWN excludes the item.

| condition | passes when | legal source | required by |
|---|---|---|---|
"""


def catalogue_page() -> str:
    """Write CONDITIONS.md: each condition with its sentence, its legal source, and the grounds that require it."""
    rows = []
    for condition in CONDITIONS:
        grounds = [str(code) for code, ground in GROUNDS.items() if condition.code in ground.required]
        rows.append(f"| `{condition.code}` | {condition.sentence} | {condition.source} | {', '.join(grounds)} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(catalogue_page(), encoding="utf-8")
