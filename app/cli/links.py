"""The command `grounds link`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.cli.command import Data, exit_on_errors
from app.settings import read_settings


def link_command(
    account: Annotated[str, typer.Argument(help="The platform's id of the account.")],
    me: Annotated[
        bool,
        typer.Option("--me", help="Print a link to the page with the person's own data, not to the objection form."),
    ] = (False),
    days: Annotated[int, typer.Option(min=1, max=3650, help="The number of days for which the link is valid.")] = 30,
    data: Data = None,
) -> None:
    """Print a signed link with which a person can object, or read their own data, without signing in."""
    from app.auth.signed_links import LinkAction, link_path, sign_link

    with exit_on_errors():
        settings = read_settings(data)
        purpose = LinkAction.ME if me else LinkAction.OBJECT
        token = sign_link(settings.secret_bytes(), account, purpose, datetime.now(UTC) + timedelta(days=days))
        print((settings.public_url or "") + link_path(token, purpose))
