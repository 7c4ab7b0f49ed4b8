"""The commands `grounds-client pull`, `sync` and `verify`: items and files from a gateway."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from grounds_client.client import Client
from grounds_client.contract.commands import ContractOutcome
from grounds_client.folder import SyncError
from grounds_client.pages import FORMATS, NDJSON, ORDERS
from grounds_client.reader import BY_ID
from grounds_client.verify import verify_folder

_TOKEN: Final = "GROUNDS_TOKEN"  # noqa: S105 - the name of the variable
_TOKEN_FILE: Final = "GROUNDS_TOKEN_FILE"  # noqa: S105 - the name of the variable


def add_data_commands(groups: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that read data to the parser of `grounds-client`."""
    pull = groups.add_parser("pull", help="Write the items on which the client may train as lines of JSON.")
    _add_gateway(pull, required=True)
    _add_filter(pull)
    pull.set_defaults(run=_run_pull)
    sync = groups.add_parser("sync", help="Bring a folder up to date, and acknowledge retractions.")
    sync.add_argument("folder", type=Path, metavar="FOLDER", help="The folder; it is created if it does not exist.")
    sync.add_argument(
        "--release", metavar="NAME", help="The name of the release. Without a release, the command reads all pages."
    )
    sync.add_argument(
        "--format", choices=FORMATS, default=NDJSON, help="The format of the files, if no release is given."
    )
    sync.add_argument(
        "--order",
        choices=ORDERS,
        default=BY_ID,
        help="The order of the items, if no release is given. With AVAILABILITY, the command reads only the items "
        "that became available since the last run.",
    )
    _add_gateway(sync, required=True)
    _add_filter(sync)
    sync.set_defaults(run=_run_sync)
    verify = groups.add_parser("verify", help="Report what is wrong in a folder with a release.")
    verify.add_argument("folder", type=Path, metavar="FOLDER", help="The folder that was synced.")
    _add_gateway(verify, required=False)
    verify.set_defaults(run=_run_verify)


def _add_gateway(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the option --url to a parser of `grounds-client`."""
    words = (
        f"The URL of the gateway. Set {_TOKEN} to a token, or {_TOKEN_FILE} to the path of a file that always "
        "contains a valid token."
    )
    if not required:
        words += " With this URL, the command also asks the gateway which items may still be used."
    parser.add_argument("--url", required=required, metavar="URL", help=words)


def _add_filter(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose items to a parser of `grounds-client`."""
    for option, name, words in (
        ("--language", "languages", "A language, such as de; repeat the option for each language."),
        ("--kind", "kinds", "A kind of item, such as POST; repeat the option for each kind."),
        ("--product", "products", "A product; repeat the option for each product."),
    ):
        parser.add_argument(option, dest=name, action="append", metavar="VALUE", help=words)


def _filter_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the filter that the options of `grounds-client` state."""
    stated = {name: getattr(options, name) for name in ("languages", "kinds", "products")}
    return {name: values for name, values in stated.items() if values}


def _client_of(options: argparse.Namespace) -> Client:
    """Make the client that the options of `grounds-client` name. Raises SyncError without a token."""
    if path := os.environ.get(_TOKEN_FILE):
        return Client(options.url, lambda: Path(path).read_text(encoding="utf-8").strip())
    if token := os.environ.get(_TOKEN):
        return Client(options.url, token)
    raise SyncError(f"{_TOKEN}: is not set (set it to a token of a training client)")


def _run_pull(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client pull`."""
    count = 0
    with _client_of(options) as client:
        for item in client.trainable_content(**_filter_of(options)):
            sys.stdout.write(json.dumps(asdict(item), default=str, ensure_ascii=False) + "\n")
            count += 1
    print(f"{count} items", file=sys.stderr)
    return ContractOutcome("", failed=False)


def _run_sync(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client sync`."""
    if options.release is None:
        return _sync_items(options)
    with _client_of(options) as client:
        synced = client.sync(options.folder, options.release, progress=_show_progress, **_filter_of(options))
    text = f"{synced.folder}: version {synced.version}, {synced.items} items in {len(synced.files)} files"
    return ContractOutcome(f"{text}; {synced.retractions} retractions applied", failed=False)


def _sync_items(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client sync` without a release."""
    with _client_of(options) as client:
        synced = client.sync_items(options.folder, format=options.format, order=options.order, **_filter_of(options))
    text = f"{synced.folder}: {synced.items} items in {len(synced.files)} files, {synced.new_items} of them new"
    return ContractOutcome(f"{text}; {synced.retractions} retractions applied", failed=False)


def _run_verify(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client verify`."""
    if options.url is None:
        faults = verify_folder(options.folder)
    else:
        with _client_of(options) as client:
            faults = verify_folder(options.folder, client)
    return ContractOutcome(
        "\n".join(faults) or "every file is identical to the file that the gateway delivered", failed=bool(faults)
    )


def _show_progress(done: int, total: int) -> None:
    """Show how many files of a release are up to date, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} files", end="\n" if done == total else "", file=sys.stderr, flush=True)
