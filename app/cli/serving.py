"""The commands `grounds demo` and `grounds serve`."""

from typing import Annotated

import typer
import uvloop

from app.cli.command import Data, exit_with_error, open_database_of

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on. Use 0 to choose a free port.")]


def demo_command(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    items: Annotated[
        int | None, typer.Option(min=1, help="The number of items to generate. Default: 20,000 on the first start.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Pull all items as a training client, compare them with the database, and exit."),
    ] = False,
) -> None:
    """Start a gateway with generated data, and print tokens and requests to try."""
    from app.demo.demo import check_demo, run_demo

    with open_database_of(data, migrate=True) as (settings, url):
        if settings.jwks is not None:
            exit_with_error(
                "GROUNDS_JWKS: is set, but the demo issues its own tokens (unset GROUNDS_JWKS,"
                " GROUNDS_ISSUER and GROUNDS_AUDIENCE)"
            )
        if settings.hosts or settings.documents_only:
            exit_with_error(
                "GROUNDS_HOSTS or GROUNDS_DOCUMENTS_ONLY: is set, but the demo sends its own documents to"
                " its own address (unset both)"
            )
        if check:
            if not uvloop.run(check_demo(settings, url, host, port, items)):
                raise typer.Exit(1)
        else:
            uvloop.run(run_demo(settings, url, host, port, items))


def serve_command(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="The number of worker processes.")] = 1,
) -> None:
    """Start the gateway. Stop the gateway with SIGTERM or Ctrl-C."""
    from app.server.checkpoint_files import raise_if_restored
    from app.server.serve import serve_gateway as run
    from app.server.workers import serve_with_workers

    with open_database_of(data, migrate=True) as (settings, url):
        if settings.checkpoints is not None:
            raise_if_restored(url, settings.secret_bytes(), settings.checkpoints)
        if workers == 1:
            uvloop.run(run(settings, url, host, port))
        else:
            serve_with_workers(workers, settings, url, host, port)
