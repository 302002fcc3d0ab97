"""Contestants in processes of their own, in the environment of a Lambda function.

What is measured lives in `child.py`; here is what surrounds it: the environment, the byte-code cache, time limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contestants import Contestant
    from bench.server import Server

CHILD = Path(__file__).with_name("child.py")
TIME_LIMIT_S = 900

# How long a token from Lambda's own credentials is, so that signing and sending it costs what it costs there.
_TOKEN = "IQoJb3JpZ2luX2Vj" + "7" * 700


class ChildError(Exception):
    """A contestant's process ended without an answer; the message is the last line it wrote."""


class Child:
    """One contestant's process: cold start measured, ready to repeat operations."""

    def __init__(
        self,
        contestant: Contestant,
        server: Server,
        cache: Path,
        *,
        bundle: str | None,
        write_cache: bool,
        time_limit_s: int = TIME_LIMIT_S,
    ) -> None:
        environment = make_environment(bundle)
        if not write_cache:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                f"pycache_prefix={cache}",
                str(CHILD),
                contestant.module,
                server.endpoint,
                json.dumps(dict(contestant.options)),
            ],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._limit = threading.Timer(time_limit_s, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        try:
            self.cold_start = self._read()
        except ChildError:
            self.close()
            raise

    def repeat(self, operation: str, count: int, *arguments: int) -> dict[str, float]:
        """CPU and wall seconds of one `operation`, as the mean of `count`."""
        commands: IO[str] | None = self._process.stdin
        assert commands is not None
        print(operation, count, *arguments, file=commands, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or [f"exit status {self._process.returncode}"]
        raise ChildError(lines[-1])

    def close(self) -> None:
        """End the process; it is given time to close its sockets."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._limit.cancel()
        self._errors.close()


def make_environment(bundle: str | None) -> dict[str, str]:
    """What a Lambda function sees, and nothing else of this machine's; `bundle`: the only roots to trust."""
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": "/nonexistent",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": _TOKEN,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if bundle:
        environment |= dict.fromkeys(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), bundle)
    return environment


# ------------------------------------------------------------------------------------------------ byte-code caches

# A .pyc file opens with four words: magic, flags, then mtime and size of the source or its hash.
# https://peps.python.org/pep-0552/
BYTECODE = {
    "warm": "a valid .pyc for every module",
    "stale": "every .pyc outside the standard library is older than its source, and cannot be written anew",
    "unchecked-hash": "as compileall --invalidation-mode unchecked-hash leaves them",
}
_UNCHECKED_HASH = b"\x01\0\0\0"


def age_cache(cache: Path, bytecode: str) -> None:
    """Turn a warm cache into the kind of `BYTECODE` asked for. The standard library's part stays as it is."""
    if bytecode == "warm":
        return
    for path in _package_caches(cache):
        content = bytearray(path.read_bytes())
        if bytecode == "stale":
            content[8:12] = bytes(byte ^ 0xFF for byte in content[8:12])
        else:
            content[4:8] = _UNCHECKED_HASH
        path.write_bytes(content)


def _package_caches(cache: Path) -> list[Path]:
    standard = sysconfig.get_path("stdlib")
    # `Path.relative_to("/")` of an absolute path is how pycache_prefix mirrors the tree.
    inside = str(cache / Path(standard).relative_to(Path(standard).anchor))
    return [path for path in cache.rglob("*.pyc") if not str(path).startswith(inside) or "site-packages" in path.parts]
