"""Errors as a person at a terminal wants them: one sentence with the next step, no traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from botocore.exceptions import BotoCoreError, ClientError

from jaypie_dynamo import DynamoError

if TYPE_CHECKING:
    from collections.abc import Iterator

# DynamoDB's error code → what to do about it
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
NEXT_STEPS = {
    "AccessDeniedException": "Allow this action for these credentials in IAM.",
    "ExpiredTokenException": "Sign in again: the credentials are past their time.",
    "InvalidSignatureException": "Check the secret key and this machine's clock.",
    "ResourceNotFoundException": "Check the table's name and region, or pass --create to make the table.",
    "UnrecognizedClientException": "Check the access key: AWS does not know it.",
}


@contextmanager
def told_plainly() -> Iterator[None]:
    """Print an expected error to stderr and leave with exit code 1; let the unexpected ones through."""
    try:
        yield
    except (DynamoError, ClientError, BotoCoreError) as error:
        typer.echo(f"jaypie-dynamo: {describe(error)}", err=True)
        raise typer.Exit(1) from None


def describe(error: Exception) -> str:
    """Say what went wrong and what to do next."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        message = error.response["Error"]["Message"].rstrip(".")
        return f"{code}: {message}. {NEXT_STEPS.get(code, '')}".rstrip()
    return str(error)
