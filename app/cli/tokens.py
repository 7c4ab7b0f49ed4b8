"""The command `grounds token`."""

from typing import Annotated

import typer

from app.cli.command import Data, exit_on_errors, exit_with_error
from app.settings import read_settings
from schema.actor import Role


def token_command(
    role: Annotated[Role, typer.Option(case_sensitive=False, help="The role of the token.")],
    client: Annotated[
        str, typer.Option(help="The name of the training client, for the role TRAINING_CLIENT.")
    ] = "demo",
    purpose: Annotated[
        str, typer.Option(help="The purpose of the training, for the role TRAINING_CLIENT.")
    ] = "GENAI_TRAINING",
    subject: Annotated[
        str | None, typer.Option(help="The platform's id of the account, for the role DATA_SUBJECT.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name in the token. A second officer needs another name.")
    ] = None,
    data: Data = None,
) -> None:
    """Print a bearer token of the development issuer; the token is valid for one hour."""
    from app.auth.dev_issuer import open_issuer

    with exit_on_errors():
        settings = read_settings(data)
        if settings.jwks is not None:
            exit_with_error(
                "GROUNDS_JWKS: is set, so tokens come from your identity provider (unset it to use the"
                " development issuer)"
            )
        try:
            issuer = open_issuer(settings)
            print(issuer.token(role, client=client, purpose=purpose, subject=subject, name=name))
        except ValueError as error:
            exit_with_error(f"{error} (see grounds token --help)")
