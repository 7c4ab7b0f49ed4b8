"""A delivered page of trainable content, from which the selected fields are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from db.delivery.pages import Delivered
from db.policy.compile import page_columns
from db.policy.document import Policy
from schema.execution.row_compiler import RowPage
from schema.relay.ids import IdKind, Ids


@dataclass(frozen=True)
class TrainablePage(RowPage):
    """A delivered page; what all its rows share is made once, on demand."""

    delivered: Delivered
    policy: Policy
    naming: Ids
    media_base: str
    """The beginning of the address of every file."""
    columns: ClassVar[dict[str, int]] = {name: position for position, name in enumerate(page_columns())}

    @property
    def rows(self) -> Sequence[Any]:
        """Return the rows of a page of trainable content."""
        return self.delivered.rows

    @cached_property
    def numbers(self) -> list[int]:
        """Return the internal numbers of a page of trainable content."""
        return [row[0] for row in self.delivered.rows]

    @property
    def ends(self) -> list[int]:
        """Return the numbers at which a page of trainable content begins and ends."""
        looked_up_to = self.delivered.looked_up_to
        return [*self.numbers[:1], *(self.numbers[-1:] if looked_up_to is None else [looked_up_to])]

    @cached_property
    def ids(self) -> list[str]:
        """Encode the pseudonym of each item of a page of trainable content."""
        return self.naming.encode_all(IdKind.TRAINABLE_CONTENT, self.numbers)

    @cached_property
    def authors(self) -> list[str]:
        """Encode the pseudonym of each author of a page of trainable content."""
        return self.naming.encode_all(IdKind.AUTHOR, [row[1] for row in self.delivered.rows])

    @cached_property
    def cursors(self) -> list[str]:
        """Encode the cursor of each row of a page of trainable content."""
        return self.naming.encode_all(IdKind.TRAINABLE_CONTENT_CURSOR, self.numbers)

    @cached_property
    def receipt(self) -> str:
        """Return the id of the receipt of a page of trainable content."""
        assert self.delivered.receipt is not None, "a page with rows has a receipt"
        return self.naming.encode(IdKind.RECEIPT, self.delivered.receipt)

    @property
    def policy_version(self) -> str:
        """Return the version of the policy that decided a page of trainable content."""
        return self.delivered.policy

    @property
    def decided_at(self) -> datetime:
        """Return the instant at which a page of trainable content was decided."""
        return self.delivered.decided_at
