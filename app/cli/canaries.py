"""The commands `grounds canary plant`, `list` and `remove`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
import uvloop

from app.cli.command import AsJson, Data, exit_with_error, open_database_of, print_json
from app.server.journal import open_journal
from db.connection import Database, open_database
from db.oversight.canaries import CanaryIncidentRow, CanaryRow, list_canaries, load_canary_incidents
from db.oversight.officer import ActOutcome, Officer

canary_commands = typer.Typer(
    no_args_is_help=True, help="Plant, list and remove canaries: test items that can never qualify."
)

Result = TypeVar("Result")
Item = Annotated[str, typer.Argument(help="The platform's id of the item.")]
Name = Annotated[str, typer.Option(help="The operator's name, which the gateway records.")]

_NOT_PLANTED = {
    None: "is not a known item (load its records first)",
    ActOutcome.QUALIFIES: "qualifies now, or can still qualify (choose an item that can never qualify)",
    ActOutcome.PENDING: "cannot be checked at the moment, because the gateway applies a change (try again)",
    ActOutcome.DELIVERED_BEFORE: "was delivered earlier (choose an item that was never permitted)",
}


@canary_commands.command("plant")
def canary_plant_command(
    item: Item,
    reason: Annotated[str, typer.Option(help="The reason why the item can never qualify.")],
    name: Name = "command line",
    data: Data = None,
) -> None:
    """Plant an item as a canary.

    If the item is selected for a page, the gateway does not deliver the page, and opens a hold that stops all
    deliveries.
    """
    if not reason.strip():
        exit_with_error("--reason: is empty (state why the item can never qualify)")
    outcome = _use_database(data, lambda database: Officer(database.staff, name).plant_canary(item, reason))
    if outcome in _NOT_PLANTED:
        exit_with_error(f"ITEM: {_NOT_PLANTED[outcome]}")
    print("The item is planted." if outcome is ActOutcome.PLANTED else "The item was already planted.")


@canary_commands.command("remove")
def canary_remove_command(item: Item, name: Name = "command line", data: Data = None) -> None:
    """Remove an item from the planted items. The incidents of the item stay recorded."""
    if not _use_database(data, lambda database: Officer(database.staff, name).remove_canary(item)):
        exit_with_error("ITEM: is not planted (choose an item from grounds canary list)")
    print("The item is no longer planted.")


@canary_commands.command("list")
def canary_list_command(data: Data = None, json: AsJson = False) -> None:
    """List the planted items with the deliveries that they stopped."""
    canaries = _use_database(data, _canaries_with_incidents)
    if json:
        print_json([_described(canary, incidents) for canary, incidents in canaries])
        return
    for canary, incidents in canaries:
        print(f"{canary.platform_id}: {canary.reason} (planted by {canary.planted_by}, {canary.planted_at:%Y-%m-%d})")
        for incident in incidents:
            recipient = f" to {incident.client}" if incident.client else ""
            print(f"  a delivery{recipient} was stopped at {incident.found_at.isoformat()}")


async def _canaries_with_incidents(database: Database) -> list[tuple[CanaryRow, list[CanaryIncidentRow]]]:
    """Read the planted items and their incidents for `grounds canary list`."""
    reader = database.examiner("PRIVACY_OFFICER")
    canaries = await list_canaries(reader)
    incidents = await load_canary_incidents(reader, [canary.item for canary in canaries])
    return list(zip(canaries, incidents, strict=True))


def _described(canary: CanaryRow, incidents: list[CanaryIncidentRow]) -> dict[str, object]:
    """Describe a planted item for the JSON of `grounds canary list`."""
    return {
        "item": canary.platform_id,
        "reason": canary.reason,
        "planted_by": canary.planted_by,
        "planted_at": canary.planted_at.isoformat(),
        "incidents": [
            {"client": each.client, "purpose": each.purpose, "found_at": each.found_at.isoformat()}
            for each in incidents
        ],
    }


def _use_database(data: Data, use: Callable[[Database], Awaitable[Result]]) -> Result:
    """Open the database for a command of `grounds canary`, call `use` with the database, and return the result."""
    with open_database_of(data) as (settings, url):

        async def opened() -> Result:
            """Call `use` for a command of `grounds canary` while the database is open."""
            async with open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database:
                return await use(database)

        return uvloop.run(opened())
