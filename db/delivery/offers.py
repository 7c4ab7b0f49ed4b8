"""Offers: stored rows for permitted items, which jobs build, and update when they are marked."""

from db.connection import Connection

MAX_ITEMS_PER_FOLD = 10_000
MAX_ITEMS_PER_SLICE = 20_000
MAX_OFFERS_PER_AUDIT = 2_000


class OffersNotPermitted(Exception):
    """Offers whose items the rules do not permit, because a change did not mark them."""


async def keep_offers(worker: Connection) -> int:
    """Update the offers ready for delivery by some marks, and build some missing ones; return how much was done.

    Items that became available for another reason than a mark get their positions in the order of availability.

    The connection is the worker's, and in no transaction: each step commits by itself.
    """
    folded: int = await worker.fetchval("SELECT grounds.fold_offers($1)", MAX_ITEMS_PER_FOLD)
    built: int = await worker.fetchval("SELECT grounds.build_offers($1)", MAX_ITEMS_PER_SLICE)
    numbered: int = await worker.fetchval("SELECT grounds.number_offers($1)", MAX_ITEMS_PER_FOLD)
    return folded + built + numbered


async def audit_offers(worker: Connection) -> int:
    """Compare some offers ready for delivery with the full decision; return 0.

    Raises OffersNotPermitted where the rules do not permit one, and at each call after that. Pages are then read from
    the rules already.
    """
    found: int = await worker.fetchval("SELECT grounds.audit_offers($1)", MAX_OFFERS_PER_AUDIT)
    if found:
        raise OffersNotPermitted(
            f"{found} offers (rows of the table `offer`) were for items that are not permitted. The gateway stopped "
            f"using offers for pages (report this to the developers, then run the gateway once with "
            f"GROUNDS_OFFERS=false)"
        )
    return 0


async def discard_offers(worker: Connection) -> int:
    """Remove every offer of delivery and every mark, where offers are switched off; return 0."""
    nothing: int = await worker.fetchval("SELECT grounds.discard_offers()")
    return nothing
