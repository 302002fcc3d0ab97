"""An engine for the demo that needs nothing installed but the extra `local`: moto, in this process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class EngineMissingError(Exception):
    """The extra is not installed."""


@contextmanager
def embedded_engine() -> Iterator[str]:
    """Catch all requests of botocore in this process; yields the engine's name and version.

    The environment's AWS settings are forgotten for good: they must not lead a demo to a real table.

    Raises:
        EngineMissingError: moto is not installed.
    """
    try:
        import moto
    except ModuleNotFoundError as missing:
        raise EngineMissingError from missing
    for name in list(os.environ):
        if name.startswith(("AWS_", "DYNAMODB_")):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    with moto.mock_aws():
        yield f"moto {moto.__version__}"
