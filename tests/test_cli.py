"""The command line as a user meets it: a process, its two streams, its exit code."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import pytest

import jaypie_dynamo
from jaypie_dynamo import make_client, use_client

TOUR = Path(jaypie_dynamo.__file__).with_name("cli") / "_tour.py"
ROOT = Path(jaypie_dynamo.__file__).parent.parent


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "jaypie_dynamo", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def run_without(*modules, arguments):
    """Run the command line in an interpreter where some modules cannot be found."""
    blocked = f"""
import importlib.abc, runpy, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Blocked())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in {modules!r} else find_spec(name)
sys.argv = ["jaypie-dynamo", *{arguments!r}]
runpy.run_module("jaypie_dynamo", run_name="__main__")
"""
    return subprocess.run(
        [sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def table(dynamodb_local_endpoint):
    """A table's name, free to be created, and gone afterwards; the client bound to it is current."""
    name = f"test-{uuid.uuid4().hex}"
    with make_client(table_name=name, endpoint=dynamodb_local_endpoint) as client, use_client(client):
        yield name
        jaypie_dynamo.destroy_table(table_name=name)


def tables(endpoint):
    session = boto3.Session("local", "local", region_name="us-east-1")
    with contextlib.closing(session.client("dynamodb", endpoint_url=endpoint)) as client:
        return client.list_tables()["TableNames"]


def count_items():
    return sum(len(jaypie_dynamo.query(model=f"demo-{kind}").items) for kind in ("chat", "message", "record"))


# What the demo must show: the statement, then its result with operation and time.
SHOWN = [
    r"stored = put_entity\(entity=chat\)\n  → Trip to Oslo +PutItem +\d+\.\d ms\n",
    r"→ indexScope: @#demo-chat\n    indexAlias: @#demo-chat#oslo\n    indexXid: @#demo-chat#c-42\n",
    r"    put_entity\(entity=message\)\n +5 PutItem +\d+\.\d ms\n",
    r"consistent=True\)\n  → Trip to Oslo +GetItem ",
    r"scope=here\)\n  → Home again · Snow! · Booked · Which train\? · Hello +Query ",
    r"ascending=True\)\n  → Hello · Which train\? · Booked · Snow! · Home again +Query ",
    r'alias="2026-01-07"\)\n  → What she said +Query ',
    r'record_class="memory"\)\n  → What she said · The fjord +Query ',
    r'type="photo"\)\n  → The fjord · Tickets +Query ',
    r'xid="c-42"\)\n  → Trip to Oslo +Query ',
    r'"type": "photo"\},\n  \)\n  → The fjord +Query ',
    r"limit=2\)\n  → Home again · Snow!  \(and a cursor to more\) +Query ",
    r"cursor = page\.last_evaluated_key\n  → \w+: ",
    r" indexScope: demo-chat#[0-9a-f-]{36}#demo-message\n",
    r" sequence: 4\n",
    r"start_key=cursor\)\n  → Booked · Which train\?  \(and a cursor to more\) +Query ",
    r"in all_messages\]\n  → Home again · Snow! · Booked · Which train\? · Hello +3 Query ",
    r'contains\("!"\),\n  \)\n  → Booked · Which train\? +Query ',
    r"after=1, before=4\)\n  → Booked · Which train\? +Query ",
    r'attributes=\["likes"\]\)\n  → likes: 1 · likes: 3 · likes: 5 · likes: 2 · likes: 0 +Query ',
    r"→ ConflictError: ",
    r"→ ValidationError: stops\[0\]\.km: ",
    r"\n3[46] requests, \d+ ms",
]


def assert_shows_everything(output):
    for pattern in SHOWN:
        assert re.search(pattern, output), f"{pattern}\nnot in\n{output}"


def test_demo_needs_nothing_and_ignores_the_environments_tables():
    done = run(
        "demo",
        DYNAMODB_TABLE_NAME="production",
        DYNAMODB_ENDPOINT="http://127.0.0.1:9",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_PROFILE="nobody",
        JAYPIE_DYNAMO_TRANSPORT="nonsense",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert_shows_everything(done.stdout)
    assert re.match(r"jaypie_dynamo \d+\.\d+\.\d+, table jaypie-dynamo-demo on moto ", done.stdout)
    assert "CreateTable, DescribeTable" in done.stdout
    assert "jaypie-dynamo demo --endpoint URL --table NAME --create" in done.stdout
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []


def test_demo_prints_to_a_terminal_without_arrows():
    done = run("demo", PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "? Trip to Oslo" in done.stdout


def test_demo_on_a_table_of_the_users_removes_its_items_and_leaves_the_table(table, dynamodb_local_endpoint):
    jaypie_dynamo.create_table()
    jaypie_dynamo.put_entity(entity=jaypie_dynamo.new_entity(model="demo-chat", name="Not the demo's"))
    done = run("demo", "--endpoint", dynamodb_local_endpoint, "--table", table)
    assert (done.returncode, done.stderr) == (0, "")
    assert_shows_everything(done.stdout)
    assert "CreateTable" not in done.stdout
    assert "9 items of the demo removed." in done.stdout
    assert count_items() == 1


def test_demo_keeps_its_items_on_request(table, dynamodb_local_endpoint):
    done = run("demo", "--endpoint", dynamodb_local_endpoint, "--table", table, "--create", "--keep")
    assert (done.returncode, done.stderr) == (0, "")
    assert "CreateTable, DescribeTable" in done.stdout
    assert count_items() == 9


def test_demo_destroys_the_table_it_created_and_no_other(table, dynamodb_local_endpoint):
    arguments = ("demo", "--endpoint", dynamodb_local_endpoint, "--table", table, "--create", "--destroy")
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Table {table} destroyed." in done.stdout
    assert table not in tables(dynamodb_local_endpoint)

    jaypie_dynamo.create_table()
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Table {table} was there before: not destroyed." in done.stdout
    assert table in tables(dynamodb_local_endpoint)
    assert count_items() == 0


def test_missing_table_is_one_line_with_the_next_step(table, dynamodb_local_endpoint):
    done = run("demo", "--endpoint", dynamodb_local_endpoint, "--table", table)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaypie-dynamo: ResourceNotFoundException: ")
    assert line.endswith("pass --create to make the table.")


def test_unreachable_endpoint_is_one_line():
    done = run("demo", "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaypie-dynamo: PutItem ")
    assert "127.0.0.1 port 9" in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--keep"], "go with --endpoint or --table"),
        (["--create"], "go with --endpoint or --table"),
        (["--table", "t", "--destroy"], "--destroy goes with --create"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, told):
    done = run("demo", *arguments)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [(("typer",), ["demo"]), (("rich",), ["--help"]), (("moto",), ["demo"])],
    ids=["typer", "rich", "moto"],
)
def test_missing_extra_is_one_line_that_says_how_to_install_it(missing, arguments):
    done = run_without(*missing, arguments=arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'jaypie_dynamo[local]'" in line
    assert done.stdout == ""


def test_version_and_help():
    assert run("--version").stdout == f"{jaypie_dynamo.__version__}\n"
    told = run("demo", "--help")
    assert told.returncode == 0
    for option in ("--endpoint", "--table", "--region", "--create", "--destroy", "--keep"):
        assert option in told.stdout


def test_tour_fits_a_terminal_and_uses_every_name_it_imports():
    script = TOUR.read_text()
    code = script[script.index("from jaypie_dynamo import") :]
    assert max(map(len, code.splitlines())) <= 76
    (imports, *rest) = ast.parse(code).body
    used = {node.id for part in rest for node in ast.walk(part) if isinstance(node, ast.Name)}
    assert {alias.name for alias in imports.names} <= used
