"""Transports that stand between a client and an engine, or instead of one."""

from __future__ import annotations

import json
from typing import Any

from jaypie_dynamo._transport._attempt import AttemptError, Response

LOST = AttemptError("the connection broke off", sent=True)
NEVER_SENT = AttemptError("nobody listens", sent=False)

ERRORS = "com.amazonaws.dynamodb.v20120810#"


class Scripted:
    """Gives the answers it was made with, one an attempt, and keeps what it was sent.

    An answer is an exception to raise, a body of a 200 answer (bytes, or what becomes JSON), a `Response`, or a
    function that makes one of these when it is asked for.
    """

    name = "scripted"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []

    def send(self, request: Any, *_: Any) -> Response:
        assert self.answers, f"{request.operation} was sent, and none was expected"
        self.requests.append(request)
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Response):
            return answer
        return Response(200, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def close(self) -> None:
        pass

    @property
    def body(self) -> Any:
        """The last request's body."""
        return json.loads(self.requests[-1].body)


def refusal(code: str, status: int = 400, **members: Any) -> Response:
    """Make the answer with which DynamoDB says no."""
    body = {"__type": ERRORS + code, "message": "because", **members}
    return Response(status, {"x-amzn-requestid": "REQUEST"}, json.dumps(body).encode())


class Recorder:
    """Keeps what passes through to another transport."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.requests: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send(self, request: Any, *rest: Any) -> Response:
        self.requests.append(request)
        return self._transport.send(request, *rest)

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


def record(client: Any) -> Recorder:
    """Put a recorder between a client and its transport."""
    recorder = Recorder(client.transport)
    client.set_transport(recorder)
    return recorder
