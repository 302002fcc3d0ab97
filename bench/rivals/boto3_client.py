"""boto3's client, typed items in and out: no conversion of values at all."""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import boto3

from bench.rivals import botocore_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    return botocore_client.operations(boto3.client("dynamodb", endpoint_url=endpoint))
