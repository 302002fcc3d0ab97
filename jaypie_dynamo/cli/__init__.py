"""The commands of `jaypie-dynamo`, one module each. Imports only the public names of the library.

Needs the extra `cli` (typer, rich); `demo` without a table needs `local`. The core imports nothing here.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

import jaypie_dynamo

from ._demo import demo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(jaypie_dynamo.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """DynamoDB single-table design: tools around the library jaypie_dynamo."""


def run() -> None:
    """Run the command the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow gets a question mark
    app()
