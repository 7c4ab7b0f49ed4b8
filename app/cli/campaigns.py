"""The commands `grounds campaign register` and `list`."""

from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
import uvloop
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from app.cli.command import AsJson, Data, exit_with_error, open_database_of, print_json, read_file
from app.server.journal import open_journal
from app.settings import Settings
from db.connection import open_database
from db.vocabulary import MessageKind

campaign_commands = typer.Typer(no_args_is_help=True, help="Register and list campaigns.")


@campaign_commands.command("register")
def campaign_register_command(
    file: Annotated[Path, typer.Argument(help="The JSON file with the campaign's record.")],
    message: Annotated[
        MessageKind, typer.Option(case_sensitive=False, help="The kind of message for which you register texts.")
    ] = MessageKind.NOTICE,
    template: Annotated[
        Path | None,
        typer.Option(
            help="The folder with a template per language, such as de.txt. Default: the templates of this version of"
            " Grounds."
        ),
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Register a campaign: store the uses that it names and its text in each language.

    A registered text cannot be changed.
    """
    from db.notices.outbox import CampaignRunning

    with open_database_of(data) as (settings, url):
        try:
            hashes = uvloop.run(_register(settings, url, read_file(file), message, template))
        except CampaignRunning:
            exit_with_error(f"{file}: a run of this campaign is in progress (wait until it has ended)")
    if json:
        print_json(hashes)
    else:
        for language, digest in sorted(hashes.items()):
            print(f"{language}  {digest}")


async def _register(
    settings: Settings, url: str, document: bytes, message: MessageKind, template: Path | None
) -> dict[str, str]:
    """Open the database for `grounds campaign register`, and register the campaign."""
    from app.campaigns.registration import register_campaign
    from app.texts.catalogue import open_catalogue

    async with open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database:
        return await register_campaign(database, document, message, template, open_catalogue(settings.texts))


@campaign_commands.command("list")
def campaign_list_command(data: Data = None, json: AsJson = False) -> None:
    """List all campaigns, newest first, with the uses that they named and the languages of their texts."""
    with open_database_of(data) as (_, url), psycopg.connect(url, row_factory=dict_row) as connection:
        campaigns = connection.execute(_CAMPAIGNS).fetchall()
    if json:
        print_json(campaigns)
    else:
        _print_campaigns(campaigns)


def _print_campaigns(campaigns: list[dict[str, Any]]) -> None:
    """Print the table of `grounds campaign list`."""
    table = Table("campaign", "told", "texts")
    for each in campaigns:
        texts = "\n".join(f"{message}: {', '.join(sorted(known))}" for message, known in each["texts"].items())
        table.add_row(each["epoch"], "\n".join(each["told"]), texts)
    Console(highlight=False).print(table)


_CAMPAIGNS = """
SELECT c.platform_id AS epoch, c.told, coalesce((
    SELECT jsonb_object_agg(m.message, m.texts) FROM (
        SELECT t.message, jsonb_object_agg(t.language, t.sha256) AS texts FROM grounds.campaign_text t
        WHERE t.epoch = c.platform_id GROUP BY t.message) m), '{}') AS texts
FROM grounds.campaign c ORDER BY c.platform_id DESC
"""
