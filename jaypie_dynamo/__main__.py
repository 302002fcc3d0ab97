"""The command line: `jaypie-dynamo`, or `python -m jaypie_dynamo`. Loads nothing before it is called."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line, or say in one line what to install for it."""
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.stderr.write("jaypie-dynamo: the command line is an extra: pip install 'jaypie_dynamo[local]'\n")
        sys.exit(2)
    from .cli import run

    run()


if __name__ == "__main__":
    main()
