from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from support.helpers import ROOT
from trainworthy_train.diagnosis import logs, patterns


@pytest.fixture(scope="module")
def make_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "names"), [("logs.md", logs.catalogue()), ("diagnosis.md", patterns.catalogue())]
)
def test_the_documentation_has_the_tables_of_today(make_tables: ModuleType, page: str, names: object) -> None:
    """The tables of formats and patterns are what `python docs/make_tables.py` writes, with a row for each."""
    text = Path(ROOT / "docs" / page).read_text("utf-8")
    assert make_tables.filled(text) == text
    assert all(f"\n| `{name}` | " in text for name in names)  # type: ignore[attr-defined]
