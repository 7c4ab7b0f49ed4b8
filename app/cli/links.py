"""The command `grounds link`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
import uvloop

from app.cli.command import Data, exit_on_errors, exit_with_error, open_database_of
from app.settings import Settings, read_settings
from db.connection import open_database

OFFICER = "command line"


def link_command(
    account: Annotated[str, typer.Argument(help="The platform's id of the account.")],
    me: Annotated[
        bool,
        typer.Option(
            "--me",
            help=(
                "Print a link to the page with the person's own data, not to the objection form. The link is valid"
                " for 7 days, and only in the browser that opens the link first."
            ),
        ),
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Revoke every link to the page with the person's own data.")
    ] = False,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=3650, help="The number of days for which a link to object is valid. Default: 30."),
    ] = None,
    data: Data = None,
) -> None:
    """Print a link with which a person can object, or read their own data, without signing in."""
    from app.auth.signed_links import LinkAction, link_path, sign_link

    if days is not None and (me or revoke):
        exit_with_error("--days: is only for links to the objection form (omit it; the other link is valid for 7 days)")
    if me and revoke:
        exit_with_error("--revoke: cannot be combined with --me (run the command twice)")
    if revoke or me:
        with open_database_of(data) as (settings, url):
            print(uvloop.run(_change_links(settings, url, account, revoke=revoke)))
        return
    with exit_on_errors():
        settings = read_settings(data)
        token = sign_link(
            settings.secret_bytes(), account, LinkAction.OBJECT, datetime.now(UTC) + timedelta(days=days or 30)
        )
        print((settings.public_url or "") + link_path(token, LinkAction.OBJECT))


async def _change_links(settings: Settings, url: str, account: str, *, revoke: bool) -> str:
    """Issue a link to a person's own data as an officer, or revoke all such links; return the text to print."""
    from app.auth.signed_links import LinkAction, link_path
    from db.oversight.reading_links import LinkIssuer

    async with open_database(url, settings.secret_bytes()) as database:
        officer = LinkIssuer.officer(database, OFFICER)
        if revoke:
            return f"{await officer.revoke(account)} links were revoked"
        issued = await officer.issue(settings.secret_bytes(), account)
        return (settings.public_url or "") + link_path(issued.token, LinkAction.ME)
