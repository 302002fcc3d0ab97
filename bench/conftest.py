"""A server for the whole run, and contestants connected to it inside this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from bench.contestants import CONTESTANTS, Contestant
from bench.processes import make_environment
from bench.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="session")
def tls_server() -> Iterator[Server]:
    with serve(tls=True) as running:
        yield running


@pytest.fixture(scope="module", params=CONTESTANTS, ids=[contestant.name for contestant in CONTESTANTS])
def contestant(request: pytest.FixtureRequest) -> Contestant:
    chosen: Contestant = request.param
    if chosen.missing():
        pytest.skip(f"missing: {', '.join(chosen.missing())}")
    return chosen


@pytest.fixture
def operations(
    contestant: Contestant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Callable[..., Any]]]:
    for name in os.environ:
        if name.startswith(("AWS_", "SSL_", "REQUESTS_")):
            monkeypatch.delenv(name)
    for name, value in make_environment(None).items():
        monkeypatch.setenv(name, value)
    rival = __import__(f"bench.rivals.{contestant.module}", fromlist=["connect"])
    connected = rival.connect(server.endpoint, **contestant.options)
    yield connected
    connected["close"]()
