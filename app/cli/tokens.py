"""The command `grounds token`."""

import sys
from typing import Annotated

import psycopg
import typer

from app.cli.command import Data, exit_on_errors, exit_with_error
from app.settings import Settings, read_settings
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
        str | None, typer.Option(help="The name in the token. The token of a second officer needs another name.")
    ] = None,
    data: Data = None,
) -> None:
    """Print a bearer token of the development issuer; the token is valid for one hour.

    If the database is running, the policy in force must contain the purpose.
    """
    from app.auth.dev_issuer import open_issuer

    with exit_on_errors():
        settings = read_settings(data)
        if settings.jwks is not None:
            exit_with_error(
                "GROUNDS_JWKS: is set, so your identity provider issues the tokens (to use the development issuer,"
                " unset GROUNDS_JWKS)"
            )
        try:
            issuer = open_issuer(settings)
            token = issuer.token(role, client=client, purpose=purpose.upper(), subject=subject, name=name)
        except ValueError as error:
            exit_with_error(f"{error} (see grounds token --help)")
        if role is Role.TRAINING_CLIENT:
            _check_token_purpose(settings, purpose.upper())
    print(token)


def _check_token_purpose(settings: Settings, purpose: str) -> None:
    """End `grounds token` if the purpose is not in the policy in force; print a note if no database is running."""
    purposes = _purposes_in_force(settings)
    if purposes is None:
        print("The purpose was not compared with a policy, because no database is running.", file=sys.stderr)
    elif purpose not in purposes:
        exit_with_error(f"--purpose: {purpose} is not a purpose of the policy in force (use {' or '.join(purposes)})")


def _purposes_in_force(settings: Settings) -> list[str] | None:
    """Read the purposes of the policy in force for a token; None if no database with a policy is running."""
    from app.server.bootstrap import running_database_url

    url = running_database_url(settings)
    if url is None:
        return None
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute("SELECT document -> 'purposes' FROM grounds.policy WHERE active").fetchone()
    except psycopg.Error:
        return None
    return None if row is None else list(row[0])
