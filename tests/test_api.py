"""The public names: the same for the interpreter, for checkers and for readers; each one documented."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_imports import LADDER

import jaypie_dynamo

SOURCE = Path(jaypie_dynamo.__file__)
NAMES = tuple(jaypie_dynamo.__all__)
FUNCTIONS = tuple(name for name in NAMES if inspect.isfunction(getattr(jaypie_dynamo, name)))
CLASSES = tuple(name for name in NAMES if inspect.isclass(getattr(jaypie_dynamo, name)))

# Functions that take arguments by position: builders of text and conversions of one value. All others are
# keyword-only, so that arguments can be added and reordered.
POSITIONAL = {
    "build_composite_key": ["entity", "fields", "suffix"],
    "build_index_alias": ["scope", "model", "alias"],
    "build_index_class": ["scope", "model", "record_class"],
    "build_index_scope": ["scope", "model"],
    "build_index_type": ["scope", "model", "type"],
    "build_index_xid": ["scope", "model", "xid"],
    "calculate_scope": ["parent"],
    "index_entity": ["entity", "suffix"],
    "iter_query": ["query_function"],
    "marshal": ["value"],
    "marshal_item": ["item"],
    "table_schema": ["format"],
    "unmarshal": ["attribute"],
    "unmarshal_item": ["typed"],
    "where": ["path"],
}

SECTIONS = ("Returns", "Raises", "Cost", "Source")


def checked_imports() -> list[tuple[str, str]]:
    """(name, module) of the imports that checkers see."""
    (block,) = [
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name}: re-exported only as `{alias.name} as {alias.name}`"
    return [(alias.name, node.module) for node in block.body for alias in node.names]


def test_checkers_interpreter_and_star_import_see_the_same_names():
    lazy = [(name, module) for module, names in jaypie_dynamo._MODULES.items() for name in names.split()]
    assert sorted(checked_imports()) == sorted(lazy)
    assert sorted(name for name, _ in lazy) == list(NAMES)


def test_star_import_and_dir_give_every_name():
    script = "from jaypie_dynamo import *; print(*dir()); import jaypie_dynamo; print(*dir(jaypie_dynamo))"
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=SOURCE.parent.parent, capture_output=True, text=True, check=True
    )
    star, listed = (set(line.split()) for line in told.stdout.splitlines())
    assert set(NAMES) <= star
    assert set(NAMES) | {"__version__"} <= listed


@pytest.mark.parametrize("name", ["put_entitty", "_operation", "moto"])
def test_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"'jaypie_dynamo' has no attribute '{name}'"):
        getattr(jaypie_dynamo, name)


def test_no_submodule_hides_behind_a_public_name():
    # Importing jaypie_dynamo.query, if there were such a module, would replace the function.
    submodules = {path.name.removesuffix(".py") for path in SOURCE.parent.iterdir()}
    assert submodules & set(NAMES) == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_documented(name):
    function = getattr(jaypie_dynamo, name)
    text = inspect.getdoc(function) or ""
    first = text.partition("\n")[0]
    assert first.endswith("."), f"{name} has no first sentence on a line of its own"
    sections = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    parameters = list(inspect.signature(function).parameters)
    if "Args" in sections:
        described = set(re.findall(r"^    \*{0,2}(\w+): ", text.partition("\nArgs:\n")[2], re.MULTILINE))
        assert set(parameters) - described == set()
    if sends_requests(function, text):
        assert set(SECTIONS) <= sections
        assert not parameters or "Args" in sections


def sends_requests(function, text):
    rung = LADDER.index(function.__module__.split(".")[1])
    return rung > LADDER.index("_operations") and not re.search(r"^Cost:\s+no request", text, re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_takes_keywords(name):
    parameters = inspect.signature(getattr(jaypie_dynamo, name)).parameters.values()
    positional = [
        parameter.name
        for parameter in parameters
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
    ]
    assert positional == POSITIONAL.get(name, [])


def test_positional_list_is_not_stale():
    assert POSITIONAL.keys() <= set(FUNCTIONS)


@pytest.mark.parametrize("name", CLASSES)
def test_class_and_its_public_methods_are_documented(name):
    kind = getattr(jaypie_dynamo, name)
    methods = [member for member in vars(kind).values() if inspect.isfunction(member) and member.__name__[0] != "_"]
    undocumented = [member.__qualname__ for member in (kind, *methods) if not inspect.getdoc(member)]
    assert undocumented == []


def test_version_is_a_literal_that_follows_semver():
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", jaypie_dynamo.__version__)
    assert f'__version__ = "{jaypie_dynamo.__version__}"' in SOURCE.read_text()
