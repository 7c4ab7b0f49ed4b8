"""The names and contents of the columns in a release's files."""

from typing import Final

from db.policy.compile import page_columns

NUMBERS: Final = ("id", "account")
"""The columns of a page that contain internal ids; clients get pseudonyms instead."""
DATES: Final = frozenset(name for name in page_columns() if name.endswith(("_month", "_week")))
_NAMES: Final = {"account": "author", "created_month": "month", "country": "region"}


def column_name(name: str) -> str:
    """Return the name that a column of the page's view has in files."""
    return _NAMES.get(name, name)


COLUMN_TYPES: Final = {
    column_name(name): "Date" if name in DATES else "Text"
    for name in (*NUMBERS, *(each for each in page_columns() if each not in NUMBERS))
}
"""The columns in order, each with the schema.org name of its type."""
