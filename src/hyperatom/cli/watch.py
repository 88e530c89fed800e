"""The command that shows a run in the browser while it goes on."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from hyperatom.cli.problems import plainly

Run = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]


def watch(
    directory: Run,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Default: any that is free.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser here.")] = False,
) -> None:
    """Show a run as a live page of this machine: chains, learning, structure, farm.

    Nothing in the run is written, and nothing leaves this machine. Ctrl-C ends the page, not the
    run.
    """
    with plainly():
        from hyperatom.report.live.server import LiveServer, Watch

        server = LiveServer(Watch(directory), port)
        with suppress(OSError):
            os.nice(10)  # the run goes first
        typer.echo(f"Live page: {server.address}")
        typer.echo("Whoever has this address can look; nobody beyond this machine can reach it.")
        if os.environ.get("SSH_CONNECTION"):
            typer.echo(
                "From your own machine: ssh -L "
                f"{server.server_port}:127.0.0.1:{server.server_port} {platform.node()}, "
                "then the same address."
            )
        typer.echo("Ctrl-C ends the page; the run does not notice.")
        if browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            typer.echo("The page has ended.")
        finally:
            server.server_close()
            server.watch.close()
