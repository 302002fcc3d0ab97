"""What README.md shows is what happens: its Python runs, its links lead somewhere, CI runs its commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from moto import mock_aws

import jaypie_dynamo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

# Blocks that need something a test does not have, by their first line, with the reason.
NOT_RUN: dict[str, str] = {}


class Block:
    """A fenced block of README.md."""

    def __init__(self, match: re.Match[str]) -> None:
        self.language, self.code = match[1], match[2]
        self.line = README.count("\n", 0, match.start(2)) + 1
        self.first = self.code.partition("\n")[0]


BLOCKS = [Block(match) for match in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize(
    "block", [block for block in PYTHON if block.first not in NOT_RUN], ids=lambda block: f"line {block.line}"
)
def test_python_in_the_readme_runs(block, monkeypatch):
    monkeypatch.setenv("DYNAMODB_TABLE_NAME", "my-table")
    with mock_aws():
        jaypie_dynamo.init_client()
        jaypie_dynamo.create_table()
        try:
            # Padded, so that a traceback names the line of the README.
            exec(
                compile("\n" * (block.line - 1) + block.code, ROOT / "README.md", "exec"),
                {"__name__": "readme"},
            )
        finally:
            jaypie_dynamo.reset_client()


def test_readme_has_python_to_run_and_no_stale_exception():
    assert PYTHON
    assert NOT_RUN.keys() <= {block.first for block in PYTHON}


def test_ci_runs_the_test_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    function = re.search(r"^test_commands\(\) \{.*?^\}$", script, re.MULTILINE | re.DOTALL)
    told = subprocess.run(
        ["bash", "-c", f"{function[0]}\ntest_commands"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (block,) = [block for block in BLOCKS if "pytest" in block.code]
    assert told.stdout == block.code
    assert "-m pip install --upgrade pip" in block.code  # --group needs pip 25.1


def test_links_inside_the_readme_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target
