from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support import families
from support.browser import IN_BROWSER, violations
from trainworthy_train.diagnosis import diagnose
from trainworthy_train.report import diagnosis_page
from trainworthy_train.types import Curves

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with one run of each pattern, and one without a verdict."""
    runs = [*(make() for make in families.FAMILIES.values()), Curves()]
    runs = [dataclasses.replace(run, name=f"run {number}") for number, run in enumerate(runs, 1)]
    diagnoses = [diagnose(run, source="runs/train7/results.csv") for run in runs]
    file: Path = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(diagnosis_page.render(diagnoses), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_can_be_read_by_everybody(chromium: Browser, written: Path, scheme: str, width: int) -> None:
    """axe-core finds nothing, nothing is wider than the screen, nothing is asked of a network, no error is logged."""
    tab = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
    tab.goto(written.as_uri())
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator("svg[role=img]").count() >= 10
    tab.close()
    assert wrong == []
