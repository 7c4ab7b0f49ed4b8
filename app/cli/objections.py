"""The command `grounds objection file`, for objections that came by letter, e-mail or telephone."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from app.cli.command import AsJson, Data, exit_on_errors, exit_with_error, open_database_of, print_json, read_file
from app.server.journal import open_journal
from app.settings import Settings
from app.telemetry import observe
from db.connection import open_database
from db.oversight.objection_filing import (
    Filed,
    ObjectionSubmitter,
    ReceiptTimeError,
    Target,
    TargetError,
    file_objection,
    is_unmatched,
    stated_target,
)
from db.vocabulary import ObjectionChannel, ObjectionScope

_CONTACT_FILE = (
    "The file that contains the e-mail address, phone number or user name. The gateway stores only its SHA-256."
)
objection_commands = typer.Typer(no_args_is_help=True, help="File an objection for a person.")


class ObjectionError(Exception):
    """A fault in the options of `grounds objection file`; the message states how to correct the fault."""


def target_from_options(
    account: str | None,
    person: str | None,
    contact: str | None,
    contact_file: str | None,
    country: str | None = None,
) -> Target:
    """Read the target of `grounds objection file`; `contact_file` is the text of a file that contains a contact.

    Raises ObjectionError unless the options state exactly one well-formed target.
    """
    if contact is not None and contact_file is not None:
        raise ObjectionError(_TARGET_OPTIONS)
    try:
        return stated_target(account, person, contact_file if contact is None else contact, country)
    except TargetError as error:
        if error.field is None:
            raise ObjectionError(_TARGET_OPTIONS) from None
        option = "contact-file" if error.field == "contact" and contact is None else error.field
        raise ObjectionError(f"--{option}: {error}") from None


_TARGET_OPTIONS = "pass exactly one of --account, --person, --contact and --contact-file"


def receipt_time(stated: str | None) -> datetime | None:
    """Read the time at which an objection was received; a day means its start in UTC+14, the earliest time zone.

    Raises ObjectionError.
    """
    if stated is None:
        return None
    try:
        return datetime.fromisoformat(f"{stated}T00:00:00+14:00" if len(stated) == len("2026-05-27") else stated)
    except ValueError:
        raise ObjectionError(
            "--received-at: must be a day or a time (write it like 2026-05-27 or 2026-05-27T12:00:00Z)"
        ) from None


async def file_as_officer(
    settings: Settings,
    url: str,
    target: Target,
    scope: ObjectionScope,
    channel: ObjectionChannel,
    received_at: datetime | None = None,
) -> tuple[Filed, bool]:
    """File an objection for `grounds objection file` as an officer; return it, and whether it matches no account."""
    async with open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database:
        officer = ObjectionSubmitter.officer(database, "command line")
        try:
            filed = await file_objection(officer, target, scope, channel, received_at)
        except ReceiptTimeError as error:
            exit_with_error(f"--received-at: {error}")
        unmatched = await is_unmatched(officer, filed.reference)
    observe.objected(channel)
    return filed, unmatched


@objection_commands.command("file")
def objection_file_command(
    account: Annotated[str | None, typer.Option(help="The platform's id of the account that objects.")] = None,
    person: Annotated[str | None, typer.Option(help="The platform's id of the person who objects.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="The SHA-256 of the e-mail address, phone number or user name.")
    ] = None,
    contact_file: Annotated[Path | None, typer.Option(help=_CONTACT_FILE)] = None,
    country: Annotated[
        str | None,
        typer.Option(help="The country, such as DE, of a phone number that does not begin with a code such as +49."),
    ] = None,
    scope: Annotated[
        ObjectionScope, typer.Option(case_sensitive=False, help="The content that the objection covers.")
    ] = ObjectionScope.ALL,
    channel: Annotated[
        ObjectionChannel,
        typer.Option(case_sensitive=False, help="The channel through which the objection was received."),
    ] = ObjectionChannel.LETTER,
    received_at: Annotated[
        str | None,
        typer.Option(help="The day or the time at which a letter, a call or an e-mail was received. Default: now."),
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """File an objection. When the command prints the reference, the objection is in effect."""
    with exit_on_errors():
        written = None if contact_file is None else read_file(contact_file).decode(errors="replace")
        try:
            target = target_from_options(account, person, contact, written, country)
            received = receipt_time(received_at)
        except ObjectionError as error:
            exit_with_error(str(error))
    with open_database_of(data) as (settings, url):
        filed, unmatched = uvloop.run(file_as_officer(settings, url, target, scope, channel, received))
    print_filed(filed, unmatched, json)


def print_filed(filed: Filed, unmatched: bool, as_json: bool) -> None:
    """Print the objection that `grounds objection file` filed."""
    received_at = filed.received_at.isoformat()
    if as_json:
        print_json({"reference": filed.reference, "received_at": received_at, "unmatched": unmatched})
        return
    print(f"{filed.reference}: has been in effect since {received_at}")
    if unmatched:
        print("No account matches this objection yet. Check the id or the address. The gateway keeps the objection.")
