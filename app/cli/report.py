"""The command `grounds report`: the report for an authority."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli.command import Data, exit_with_error, open_database_of, read_file

EXIT_WRONG_SIGNATURE = 1


def report_command(
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, in UTC.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, in UTC.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write. Default: standard output.")] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="A report to check: was it signed by this gateway? The command then writes no new report."),
    ] = None,
    data: Data = None,
) -> None:
    """Write a signed report for an authority about some days."""
    from db.oversight.report import make_report, sign_report
    from db.setup import load_secrets

    if verify is not None:
        _verify_report(verify, data)
        return
    if first is None or last is None or first > last:
        exit_with_error("--from and --to: must be two days in order (pass --from 2026-01-01 --to 2026-12-31)")
    with open_database_of(data) as (settings, url):
        report = make_report(url, first.date(), last.date())
        text = sign_report(report, load_secrets(url, settings.secret_bytes()).readable[0]).as_json()
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")


def _verify_report(file: Path, data: Path | None) -> None:
    """Check for `grounds report` the signature of a report; end the command with 1 if it is wrong."""
    from db.delivery.ledger import signing_key
    from db.oversight.report import has_valid_signature
    from db.setup import load_secrets

    try:
        content = json.loads(read_file(file))
        report, signature, key = (content[name] for name in ("report", "signature", "publicKey"))
    except (ValueError, KeyError, TypeError):
        exit_with_error(f"{file}: is not a report (pass a file that grounds report wrote)")
    with open_database_of(data) as (settings, url):
        secrets = load_secrets(url, settings.secret_bytes()).readable
        keys = [signing_key(secret).public_key().public_bytes_raw().hex() for secret in secrets]
    if key not in keys or not has_valid_signature(report, signature, key):
        print(f"{file}: the signature is wrong, or is not of this gateway")
        raise typer.Exit(EXIT_WRONG_SIGNATURE)
    print(f"{file}: the signature is that of this gateway")
