"""GraphQL documents: the id of a text, and the operations that it contains."""

import hashlib
from dataclasses import dataclass

from graphql import DocumentNode, separate_operations


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation: its document, which is valid or invalid as a whole, and the part of it that the operation uses."""

    consumer: str
    name: str
    file: str
    text: str
    document: DocumentNode
    own: DocumentNode


def document_id(text: str) -> str:
    """Return the id of a client's GraphQL document: `sha256:` and the SHA-256 of its text in hexadecimal digits."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def split_operations(document: DocumentNode, consumer: str, file: str, unnamed: str, text: str) -> list[Operation]:
    """Split a client's document into its operations. `text` is its source; one without a name is `unnamed`."""
    separate = separate_operations(document)
    return [Operation(consumer, name or unnamed, file, text, document, own) for name, own in separate.items()]
