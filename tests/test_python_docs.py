"""docs/python.md and the example notebook: every example runs, and shows what it says."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

import trainworthy_audit as tw
from support.helpers import ROOT, write
from trainworthy_audit.rules import catalogue

pytestmark = pytest.mark.usefixtures("workplace")

PAGE = ROOT / "docs" / "python.md"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_examples_of_the_page_run_and_show_what_they_say() -> None:
    """The blocks of docs/python.md run in order: ```python is executed, ```pycon shows these very results."""
    blocks = re.findall(r"^```(python|pycon)\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in blocks} == {"python", "pycon"}
    names: dict[str, Any] = {}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    for number, (kind, text) in enumerate(blocks):
        if kind == "python":
            exec(compile(text, f"docs/python.md, block {number}", "exec"), names)
        else:
            example = parser.get_doctest(text, {}, f"block {number}", str(PAGE), 0)
            example.globs = names
            shown: list[str] = []
            runner.run(example, out=shown.append, clear_globs=False)
            assert not shown, "".join(shown)


def test_page_names_the_whole_api() -> None:
    """No public name, keyword or column is missing on the page."""
    page = PAGE.read_text("utf-8")
    for name in tw.__all__:
        assert name == "__version__" or re.search(rf"\b{name}\b", page), name
    listed = re.findall(
        r"`(\w+)`", page[page.index("| column | holds |") : page.index("What does not apply is null")]
    )
    write(catalogue()["B001"].dirty, Path("data"))
    assert set(tw.audit("data", select=["B001"]).findings.columns) == set(listed)
    for keyword in tw.Running.__annotations__.keys() | tw.Settings.__annotations__.keys():
        assert f"`{keyword}`" in page, keyword


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path) -> None:
    """The code cells of the notebook run from top to bottom, and it is committed without their output."""
    document = json.loads(notebook.read_text("utf-8"))
    names: dict[str, Any] = {}
    for number, cell in enumerate(document["cells"]):
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
