"""`jaypie-dynamo demo`: a tour of the library, on moto in this process or on a table of the user's."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jaypie_dynamo import (
    __version__,
    destroy_entity,
    destroy_table,
    get_table_name,
    init_client,
    reset_client,
)

from ._engine import EngineMissingError, embedded_engine
from ._failures import told_plainly
from ._stage import Stage, read_steps

TOUR = Path(__file__).with_name("_tour.py")
TABLE = "jaypie-dynamo-demo"
REGION = "us-east-1"

# What the tour stores lies under these names, and is removed through them.
STORED = ("chat", "messages", "records")

# The statement of the tour that a table of the user's gets only on request.
CREATE = "made = create_table()"

EMBEDDED_REMARK = """, moto's own work included, no network in between.
To run it on a table of yours: jaypie-dynamo demo --endpoint URL --table NAME --create"""

ENGINE_MISSING = (
    "jaypie-dynamo: the demo's own engine is an extra: pip install 'jaypie_dynamo[local]' "
    "(or name a DynamoDB: --endpoint URL)"
)


def demo(
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Run on the DynamoDB at this URL, such as DynamoDB Local's."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Run on this table.  [default: {TABLE}]", show_default=False),
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="The table's AWS region.")] = None,
    create: Annotated[bool, typer.Option("--create", help="Create the table first, if it is not there.")] = False,
    destroy: Annotated[
        bool, typer.Option("--destroy", help="Destroy the table at the end, if this run created it.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demo's items in the table.")] = False,
) -> None:
    """Show what the library does: store a chat with messages and some records, and query them in every way.

    Without options it runs on moto in this process and touches nothing else. With --endpoint or --table it
    runs on that table; items it stored are removed at the end.
    """
    real = bool(endpoint or table)
    if not real and (region or create or destroy or keep):
        raise typer.BadParameter("--region, --create, --destroy and --keep go with --endpoint or --table")
    if destroy and not create:
        raise typer.BadParameter("--destroy goes with --create: only a table made by this run is destroyed")

    stage = Stage(Console(highlight=False))
    with told_plainly(), ExitStack() as cleanup:
        if real:
            client = init_client(table_name=table or TABLE, endpoint=endpoint, region=region)
            place = f"{client.endpoint or 'AWS'}, {client.region}"
        else:
            place = f"{_enter_engine(cleanup)} in this process"
            init_client(table_name=TABLE, region=REGION, transport="botocore")
        cleanup.callback(reset_client)
        title = f"jaypie_dynamo {__version__}, table {get_table_name()} on {place}"
        stage.console.print(title, style="bold", soft_wrap=True)
        if destroy:
            cleanup.callback(_destroy_table, stage)
        if real and not keep:
            cleanup.callback(_destroy_items, stage)
        for step in read_steps(TOUR.read_text(encoding="utf-8")):
            if create or not real or step.code != CREATE:
                stage.run(step)
        stage.print_end("" if real else EMBEDDED_REMARK)


def _enter_engine(cleanup: ExitStack) -> str:
    try:
        return cleanup.enter_context(embedded_engine())
    except EngineMissingError:
        typer.echo(ENGINE_MISSING, err=True)
        raise typer.Exit(2) from None


def _destroy_table(stage: Stage) -> None:
    if stage.namespace.get("made", {}).get("created"):
        destroy_table(table_name=get_table_name())
        stage.console.print(f"Table {get_table_name()} destroyed.")
    else:
        stage.console.print(f"Table {get_table_name()} was there before: not destroyed.")


def _destroy_items(stage: Stage) -> None:
    if "stored" not in stage.namespace:  # the first write never came back: nothing to remove
        return
    entities = [entity for name in STORED for entity in _listed(stage.namespace.get(name, []))]
    removed = sum(destroy_entity(model=entity["model"], id=entity["id"]) for entity in entities)
    stage.console.print(f"{removed} items of the demo removed.")


def _listed(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value]
