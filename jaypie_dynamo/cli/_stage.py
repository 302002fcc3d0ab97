"""Shows code while it runs: every statement of a script with its result, its time and its requests."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.syntax import Syntax
from rich.text import Text

from jaypie_dynamo import QueryResult

from ._requests import RequestCount

if TYPE_CHECKING:
    from rich.console import Console

INDENT = "  "
ARROW = "  → "


class Step(NamedTuple):
    """One statement of a script, with what its comments say."""

    chapter: str
    comment: str
    code: str


def read_steps(script: str) -> Iterator[Step]:
    """Split a script into its statements; imports and comments before them belong to no step."""
    lines = script.splitlines()
    seen = 0
    for node in ast.parse(script).body:
        above = lines[seen : node.lineno - 1]
        seen = node.end_lineno or node.lineno
        chapters = [line[3:] for line in above if line.startswith("## ")]
        comments = [line for line in above if line.startswith("# ")]
        code = "\n".join(lines[node.lineno - 1 : seen])
        yield Step("".join(chapters), "\n".join(comments), code)


class Stage:
    """Runs steps in one namespace and prints them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.namespace: dict[str, Any] = {}
        self.requests = 0
        self.elapsed_s = 0.0

    def run(self, step: Step) -> None:
        """Run one step; imports are silent."""
        (node,) = ast.parse(step.code).body
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(step.code, self.namespace)  # noqa: S102 - the script is ours
            return
        if step.chapter:
            self.console.print()
            self.console.rule(Text(step.chapter, style="bold"), align="left", style="dim")
        if step.comment:
            self.console.print()
            self._print_indented(Text(step.comment, style="italic dim"))
        code = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(step.code)
        code.rstrip()
        self._print_indented(code)
        with RequestCount() as requests:
            started = time.perf_counter()
            result = self._execute(node)
            elapsed_s = time.perf_counter() - started
        self.requests += requests.operations.total()
        self.elapsed_s += elapsed_s
        timing = f"{requests}  {elapsed_s * 1000:5.1f} ms" if requests.operations else ""
        self._print_result(result, timing=timing)

    def print_end(self, remark: str) -> None:
        """Print what it all took."""
        took = f"{self.requests} requests, {self.elapsed_s * 1000:.0f} ms{remark}"
        self.console.print()
        self.console.print(took, style="bold", soft_wrap=True)

    def _execute(self, node: ast.stmt) -> list[Any]:
        """Run a statement; give the value of an expression, or of every name it bound."""
        if isinstance(node, ast.Expr):
            return [eval(compile(ast.Expression(node.value), "demo", "eval"), self.namespace)]  # noqa: S307
        exec(compile(ast.Module([node], []), "demo", "exec"), self.namespace)  # noqa: S102
        assigned = (target for part in ast.walk(node) if isinstance(part, ast.Assign) for target in part.targets)
        return [self.namespace[target.id] for target in assigned if isinstance(target, ast.Name)]

    def _print_indented(self, text: Text) -> None:
        for line in text.split("\n"):
            self.console.print(INDENT, line, sep="", soft_wrap=True)

    def _print_result(self, values: list[Any], *, timing: str) -> None:
        shown = "\n".join(filter(None, map(describe, values)))
        if not shown and not timing:
            return
        lines = [
            part
            for line in shown.splitlines()
            for part in wrap(line, self.console.width - len(ARROW), break_long_words=False)
        ]
        marks = [ARROW] + [" " * len(ARROW)] * len(lines)
        *above, last = [mark + line for mark, line in zip(marks, lines, strict=False)] or [""]
        if len(last) + len(timing) >= self.console.width:
            above, last = [*above, last], ""
        for line in above:
            self.console.print(line, style="green", soft_wrap=True)
        timing = timing.rjust(self.console.width - len(last)) if timing else ""
        self.console.print(Text.assemble((last, "green"), (timing, "dim")), soft_wrap=True)


def describe(value: object) -> str:
    """Say what a result is, in as few words as show it; nothing for an iterator that is not read yet."""
    if isinstance(value, QueryResult):
        more = "  (and a cursor to more)" if value.last_evaluated_key else ""
        return describe(value.items) + more
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, Mapping):
        if "model" in value and "name" in value:
            return str(value["name"])
        return "\n".join(f"{name}: {part}" for name, part in value.items())
    if isinstance(value, list):
        return " · ".join(map(describe, value))
    return "" if isinstance(value, Iterator) else str(value)
