"""The import ladder, and what importing and initialising may load: a cold start pays for every module."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import jaypie_dynamo

PACKAGE = Path(jaypie_dynamo.__file__).parent

# A module imports only from rungs above its own. `_types` is for checkers: nothing imports it at run time.
LADDER = (
    "_types",
    "_errors",
    "_schema",
    "_stamps",
    "_marshal",
    "_expressions",
    "_keys",
    "_transport",
    "_client",
    "_operations",
    "_entities",
    "_changes",
    "_pages",
    "_queries",
    "_documents",
    "_batch",
    "_transactions",
    "_tables",
    "_seed",
)

# These meet in `_operations` and know nothing of each other.
APART = frozenset({"_marshal", "_expressions", "_keys", "_transport"})

# Parts on top of the library, which see only what every user sees.
ON_TOP = frozenset({"cli", "local", "mcp", "testing"})

# Never loaded by import or initialisation, whatever the allow-lists below say.
FORBIDDEN = frozenset({"asyncio", "botocore", "boto3", "dataclasses", "http", "inspect", "typing", "urllib3", "uuid"})


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def part_of(path: Path) -> str:
    """The rung or subpackage a file belongs to; `__init__` for the package's own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, int]]:
    """Every import inside the package at run time, as (dotted name inside the package, line)."""
    tree = ast.parse(path.read_text())
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for branch in node.body
        for inner in ast.walk(branch)
    }
    package = path.relative_to(PACKAGE).parent.parts
    found = []
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            origin = ".".join((PACKAGE.name, *above, *filter(None, [node.module])))
            names = [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(name.partition(".")[2], node.lineno) for name in names if name.split(".")[0] == PACKAGE.name]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_ladder(path):
    part = part_of(path)
    for name, line in imported(path):
        target = name.split(".")[0]
        place = f"{path.relative_to(PACKAGE)}:{line} imports {name or PACKAGE.name}"
        if part in ON_TOP:
            public = not target.startswith("_") or target == "__version__"
            assert target == part or (public and target not in ON_TOP), f"{place}: not a public name"
        elif target != part:
            if target == "__version__":  # a literal of the package itself, loaded before anything else
                continue
            assert target in LADDER, f"{place}: not on the ladder"
            assert target != "_types", f"{place}: _types is for checkers"
            if part != "__init__":
                assert LADDER.index(target) < LADDER.index(part), f"{place}: up the ladder only"
                assert not {part, target} <= APART, f"{place}: these two stay apart"


def test_every_module_has_its_rung():
    assert {part_of(path) for path in modules()} - {"__init__"} <= {*LADDER, *ON_TOP}


# What AWS's own runtime client has loaded before it imports a function: free for us, on every Python alike.
# https://github.com/aws/aws-lambda-python-runtime-interface-client
LAMBDA_RUNTIME = "decimal, enum, json, logging, re, threading, traceback"

# What the first and the second line of a function load beyond it, exactly. A change here is a change of every
# user's cold start.
IMPORT = {"jaypie_dynamo"}
INIT_CLIENT = {
    *IMPORT,
    "jaypie_dynamo._client",
    "jaypie_dynamo._errors",
    "jaypie_dynamo._marshal",
    "jaypie_dynamo._transport",
    "jaypie_dynamo._transport._attempt",
    "jaypie_dynamo._transport._credentials",
    "jaypie_dynamo._transport._deadline",
    "jaypie_dynamo._transport._endpoint",
    "jaypie_dynamo._transport._policy",
    "__future__",
    "_contextvars",
    "binascii",
    "contextvars",
    "importlib",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [("pass", IMPORT), ("jaypie_dynamo.init_client(table_name='t')", INIT_CLIENT)],
    ids=["import", "init_client"],
)
def test_loads_exactly(statement, expected):
    assert {name for name in loaded(statement, after="json") if name.split(".")[0] in FORBIDDEN} == set()
    assert loaded(statement, after=LAMBDA_RUNTIME) == expected


def loaded(statement: str, *, after: str) -> set[str]:
    """What importing the package and a statement load in a fresh interpreter without site-packages."""
    probe = f"""
import json, sys, {after}
before = set(sys.modules)
sys.path.insert(0, {str(PACKAGE.parent)!r})
import jaypie_dynamo
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    command = [sys.executable, "-I", "-S", "-c", probe]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return set(json.loads(told.stdout))
