"""What surrounds a measured process: its environment, its byte code, its end; and the two command lines as a whole."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench import contestants
from bench.contestants import CONTESTANTS, FLOOR, Contestant, split_missing
from bench.processes import Child, ChildError, age_cache, make_environment
from bench.server import ROOT, Server

THE_FLOOR = next(contestant for contestant in CONTESTANTS if contestant.name == FLOOR)
MISSING = Contestant("nobody", "nobody", ("surely-not-a-package",))


def test_nothing_of_this_machine_reaches_a_contestant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/certs")
    environment = make_environment("ca.pem")
    assert not {"AWS_PROFILE", "HTTPS_PROXY", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE"} & {*environment}
    assert {environment[name] for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")} == {"ca.pem"}
    assert "SSL_CERT_FILE" not in make_environment(None)


def import_with_cache(cache: Path, folder: Path) -> str:
    """What a module says of itself when imported with this byte-code cache."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-X", f"pycache_prefix={cache}", "-c", "import probe; print(probe.TEXT)"]
    return subprocess.check_output(command, cwd=folder, env=environment, text=True).strip()


@pytest.mark.parametrize(
    ("bytecode", "source_kept", "expected"),
    [
        # The .pyc says "compiled" whatever the source says: what is printed tells which of the two was run.
        ("warm", True, "compiled"),
        ("stale", True, "source"),
        ("unchecked-hash", True, "compiled"),
        ("warm", False, "source"),
        ("unchecked-hash", False, "compiled"),
    ],
)
def test_age_cache(bytecode: str, expected: str, tmp_path: Path, *, source_kept: bool) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    folder.mkdir()
    source = folder / "probe.py"
    target = cache / folder.relative_to(folder.anchor) / f"probe.{sys.implementation.cache_tag}.pyc"
    source.write_text("TEXT = 'compiled'")
    before = source.stat()
    py_compile.compile(str(source), str(target), doraise=True)
    source.write_text("TEXT = 'source'  ")
    assert source.stat().st_size == before.st_size
    moment = before.st_mtime + (0 if source_kept else 100)
    os.utime(source, (moment, moment))
    age_cache(cache, bytecode)
    assert import_with_cache(cache, folder) == expected


def test_age_cache_leaves_the_standard_library_alone(tmp_path: Path) -> None:
    standard = Path(sysconfig.get_path("stdlib"))
    mirror = tmp_path / standard.relative_to(standard.anchor)
    kept, aged = mirror / "json" / "x.pyc", mirror / "site-packages" / "y.pyc"
    for path in (kept, aged):
        path.parent.mkdir(parents=True)
        path.write_bytes(importlib.util.MAGIC_NUMBER + bytes(12))
    age_cache(tmp_path, "stale")
    assert kept.read_bytes()[8:12] == bytes(4)
    assert aged.read_bytes()[8:12] == b"\xff" * 4


def test_a_contestant_that_breaks_says_why(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="nobody"):
        Child(MISSING, server, tmp_path, bundle=None, write_cache=False)


def test_repeat_counts_and_divides(server: Server, tmp_path: Path) -> None:
    child = Child(THE_FLOOR, server, tmp_path, bundle=None, write_cache=True)
    before = server.totals()["requests"]
    once = child.repeat("get", 40)
    child.close()
    assert server.totals()["requests"] - before == 40
    assert 0 < once["cpu_s"] < 0.01
    assert once["wall_s"] > 0


def test_the_missing_are_named() -> None:
    present, absent = split_missing([THE_FLOOR, MISSING])
    assert present == [THE_FLOOR]
    assert absent == {"nobody": "missing: surely-not-a-package"}


@pytest.mark.parametrize("command", ["bench.cold_start", "bench.warm"])
def test_command_line(command: str, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    output = subprocess.check_output(
        [sys.executable, "-m", command, "--quick", "--only", "floor", "echo", "--json", str(results)],
        cwd=ROOT,
        text=True,
        timeout=120,
    )
    assert "| floor " in output
    written = json.loads(results.read_text())
    assert written["rounds"] == 2
    assert set(written["circumstances"]) == {"date", "machine", "load", "python", "versions"}
    assert written[command.partition(".")[2]]


@pytest.mark.parametrize(("reason", "status"), [("missing: pydynox", 0), ("failed: Boom: no", 1)])
def test_a_failure_fails_the_run_but_a_missing_rival_does_not(reason: str, status: int) -> None:
    program = f"from bench.report import finish; finish({{'absent': {{'http': {{'x': {reason!r}}}}}}}, None)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == status


def test_every_contestant_has_its_own_name() -> None:
    names = [contestant.name for contestant in contestants.CONTESTANTS]
    assert len(names) == len(set(names))
    assert {contestants.BASELINE, contestants.OURS, contestants.PYDYNOX, contestants.FLOOR} <= set(names)
