"""Many threads on one client, and a fork in the middle, against a real engine: no cross-talk, no leaked socket.

On DynamoDB Local by transport `direct`: its connections are our own.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from jaypie_dynamo import (
    destroy_entity,
    get_entity,
    patch_entity,
    put_entity,
    query_by_alias,
    query_by_scope,
)

THREADS = 32
OPERATIONS = 500
MAX_CONNECTIONS = 50

pytestmark = [
    pytest.mark.parametrize("transport", ["direct"], indirect=True),
    pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True),
]


def open_sockets():
    """Count this process's sockets, as the kernel knows them."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("only Linux lists a process's descriptors in /proc")
    return sum(_is_socket(descriptor) for descriptor in descriptors.iterdir())


def _is_socket(descriptor):
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:  # the one that listed the directory
        return False


def work(number, failures):
    """Mixed operations on entities of this thread alone; whatever comes back must be its own."""
    model, scope = "record", f"thread#{number}"
    try:
        for step in range(OPERATIONS // 5):
            key = {"model": model, "id": f"{number}-{step}"}
            entity = put_entity(entity={**key, "scope": scope, "sequence": step, "alias": f"a{step}", "by": number})
            assert get_entity(**key, consistent=True) == entity
            patched = patch_entity(**key, set={"text": "x" * (step * 37 % 3000)}, add={"count": number})
            assert (patched["id"], patched["by"], patched["count"]) == (key["id"], number, number)
            found = query_by_alias(model=model, scope=scope, alias=f"a{step}")
            assert found == patched
            if step % 2:
                assert destroy_entity(**key)
            else:
                page = query_by_scope(model=model, scope=scope, limit=1)
                assert [item["id"] for item in page.items] == [key["id"]]
    except BaseException as error:
        failures.append((number, error))


def test_threads_share_a_client(client):
    before = open_sockets()
    failures = []
    threads = [threading.Thread(target=work, args=(number, failures)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    assert open_sockets() - before <= min(THREADS, MAX_CONNECTIONS)
    client.transport.close()
    assert open_sockets() <= before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("client")
def test_parent_and_child_go_on_after_a_fork():
    def write_and_read(who):
        told = []
        for step in range(50):
            key = {"model": who, "id": str(step)}
            put_entity(entity={**key, "scope": "@", "by": who})
            told.append(get_entity(**key, consistent=True)["by"])
        return told

    assert write_and_read("before") == ["before"] * 50
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child is not measured
        status = 1
        try:
            os.write(writing, json.dumps(write_and_read("child")).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    assert write_and_read("parent") == ["parent"] * 50
    with os.fdopen(reading) as pipe:
        assert json.load(pipe) == ["child"] * 50
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
