"""What an item's rights and signals say."""

from tests.promises.oracle.records import Record


def is_reserved(item: Record) -> bool:
    """Return whether a right says that an item may not be trained on."""
    return any(train_ai == "n" for _, train_ai in item["rights"])
