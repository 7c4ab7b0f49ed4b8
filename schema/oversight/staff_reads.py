"""Reads of people's data by officers and auditors, as auditors, officers and the people themselves see them."""

from datetime import datetime

import strawberry

from db.oversight.staff_reads import StaffReadRow, own_reads, page_of_staff_reads
from schema.context import Context, Info
from schema.enums import Role
from schema.governed import EXAMINERS, SUBJECTS, governed
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind

LATEST_READS = 100


@strawberry.type(
    description="A read of people's data by an officer or an auditor, recorded before the response was sent."
)
class StaffRead:
    read_at: datetime = governed(EXAMINERS, description="The time of the read.")
    reader: str = governed(EXAMINERS, description="The name in the reader's token.")
    role: Role = governed(EXAMINERS, description="The role of the reader.")
    fields: list[str] = governed(EXAMINERS, description="The root fields of the operation.")
    reason: str | None = governed(
        EXAMINERS, description=("The reason that the request gave, null if the request gave no reason.")
    )
    accounts: int = governed(EXAMINERS, description="The number of accounts whose data the response contained.")
    objections: int = governed(EXAMINERS, description="The number of objections that the response contained.")


@strawberry.type(description="A read of the data subject's own data by the platform's privacy team or an auditor.")
class OwnStaffRead:
    read_at: datetime = governed(SUBJECTS, description="The time of the read.")
    role: Role = governed(SUBJECTS, description="The role of the reader.")


async def staff_reads_page(info: Info, first: First, after: After = None) -> Connection[StaffRead]:
    """Resolve `staffReads` for auditors: a page of all reads of people's data by staff, the latest first."""
    return await staff_reads_about(info.context, first, after, None)


async def staff_reads_about(
    context: Context, first: int, after: str | None, account: int | None
) -> Connection[StaffRead]:
    """Resolve `staffReads` of one account, or of all: a page of reads by officers and auditors."""
    before = read_cursor(context.ids, IdKind.STAFF_READ_CURSOR, after) or None
    size = check_page_size(first, MAX_PAGE_SIZE)
    rows, has_next = await page_of_staff_reads(context.reader, before, size, account=account)
    cursors = context.ids.encode_all(IdKind.STAFF_READ_CURSOR, [row.id for row in rows])
    return connection_of_objects([_staff_read(row) for row in rows], cursors, after, has_next=has_next)


async def own_staff_reads(info: Info) -> list[OwnStaffRead]:
    """Resolve `staffReads` for a data subject: the latest reads of the own account by officers and auditors."""
    rows = await own_reads(info.context.reader, LATEST_READS)
    return [OwnStaffRead(read_at=row.read_at, role=Role(row.role)) for row in rows]


def _staff_read(row: StaffReadRow) -> StaffRead:
    """Show a read of people's data by an officer or auditor as a GraphQL object."""
    shown = row._asdict() | {"role": Role(row.role)}
    del shown["id"]
    return StaffRead(**shown)
