"""The commands `grounds notice send` and `bounces`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from app.cli.command import (
    EXIT_INCOMPLETE,
    AsJson,
    Data,
    exit_on_errors,
    exit_with_error,
    open_database_of,
    print_json,
)
from app.settings import SettingsError
from db.vocabulary import MessageKind

notice_commands = typer.Typer(no_args_is_help=True, help="Send notices, and read bounce messages.")

Addresses = Annotated[
    Path | None,
    typer.Option(
        help="The file of e-mail addresses: CSV with the header account,email,language, or NDJSON. The addresses are"
        " not stored."
    ),
]
Remind = Annotated[
    bool,
    typer.Option(
        "--remind",
        help="Send the reminder to accounts whose notice was delivered and whose notice period has not ended.",
    ),
]
Educate = Annotated[
    bool, typer.Option("--educate", help="Send the campaign's education message, which does not count as a notice.")
]
RetryUnknown = Annotated[
    bool,
    typer.Option(
        "--retry-unknown",
        help="Send again the messages whose result is unknown. Some recipients might receive the message twice.",
    ),
]


@notice_commands.command("send")
def notice_send_command(
    epoch: Annotated[str, typer.Option(metavar="YYYY-MM", help="The epoch of the campaign to send.")],
    channel: Annotated[str, typer.Option(help="The channels to use, separated by commas.")] = "EMAIL,IN_APP",
    addresses: Addresses = None,
    remind: Remind = False,
    educate: Educate = False,
    rate: Annotated[int, typer.Option(min=1, help="The maximum number of messages per second.")] = 50,
    connections: Annotated[int, typer.Option(min=1, max=16, help="The number of connections to the SMTP server.")] = 4,
    retry_unknown: RetryUnknown = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be sent; send and store nothing.")
    ] = False,
    data: Data = None,
) -> None:
    """Send the notice of a registered campaign to all accounts that need the notice.

    Run the command again to continue after an interruption. If any account still needs the notice, the exit code is 3.
    """
    from app.campaigns.campaign import CampaignError, parse_campaign_options
    from app.campaigns.campaign import run_campaign as run

    with exit_on_errors():
        message = _chosen_message(remind=remind, educate=educate)
        plan = parse_campaign_options(epoch, message, channel, addresses, rate, connections, retry_unknown)
    with open_database_of(data) as (settings, url):
        try:
            code = uvloop.run(run(settings, url, plan, dry_run=dry_run))
        except CampaignError as error:
            exit_with_error(str(error))
    raise typer.Exit(code)


def _chosen_message(*, remind: bool, educate: bool) -> MessageKind:
    """Return the kind of message for `grounds notice send`; raise SettingsError if the options request two kinds."""
    if remind and educate:
        raise SettingsError("--remind and --educate: cannot be combined (run the command once for each message)")
    return MessageKind.REMINDER if remind else MessageKind.EDUCATION if educate else MessageKind.NOTICE


@notice_commands.command("bounces")
def notice_bounces_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="The messages, mbox files or Maildir folders to read; files can be compressed with gzip. Use - for"
            " standard input.",
        ),
    ],
    relayed: Annotated[
        bool,
        typer.Option(
            "--relayed-counts",
            help=(
                "Also count a notice as delivered if the mail server only reports that it passed the message on "
                "(relayed)."
            ),
        ),
    ] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Read delivery status notifications (RFC 3464), and record which notices were delivered and which bounced.

    A bounced notice does not count. If a message quotes a notice, but the command cannot read the message as a
    report, the exit code is 3.
    """
    from app.campaigns.bounces import Unread
    from app.campaigns.campaign import UNREAD_WORDS, record_bounces

    with open_database_of(data) as (settings, url):
        mails = (mail for name in files for mail in _read_mails(name))
        counts = uvloop.run(record_bounces(settings, url, mails, relayed_counts=relayed))
    if json:
        print_json(counts)
    else:
        print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "No report was read.")
    if counts[UNREAD_WORDS[Unread.OTHER_FORM]]:
        raise typer.Exit(EXIT_INCOMPLETE)


def _read_mails(name: str) -> Iterator[bytes]:
    """Yield the e-mails in a file, a Maildir or standard input; end the command if the input cannot be read."""
    from app.campaigns.bounces import read_mails, split_mbox, unzipped

    try:
        yield from split_mbox(unzipped(sys.stdin.buffer.read())) if name == "-" else read_mails(Path(name))
    except OSError as error:
        exit_with_error(f"{name}: {error.strerror}")
