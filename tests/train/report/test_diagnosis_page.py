from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support import families
from support.browser import IN_BROWSER, violations
from trainworthy_train.diagnosis import diagnose
from trainworthy_train.diagnosis.audit_facts import AuditFacts
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


def test_charts_answer_the_pointer(chromium: Browser, tmp_path: Path) -> None:
    """Values under the pointer are those of the log; a sentence marks its own steps; an axis becomes logarithmic."""
    run = families.declining()
    file = tmp_path / "index.html"
    file.write_text(diagnosis_page.render([diagnose(run, source="results.csv")]), encoding="utf-8")
    tab = chromium.new_page(viewport={"width": 1280, "height": 1800})
    tab.goto(file.as_uri())
    chart = tab.locator("svg[role=img]").nth(1)
    box = chart.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + box["height"] / 2)
    told = tab.locator(".readout").nth(1).inner_text()
    last = run.series["map50"].value[-1]
    assert told.startswith(f"epoch {run.series['map50'].step[-1]:g}: mAP@50 {float(f'{last:.4g}'):g}")

    assert tab.locator(".marked").count() == 0
    tab.locator("tr[data-span]").first.hover()
    assert tab.locator(".marked").count() == tab.locator("figure[data-panel]").count()

    before = chart.locator(".smooth").first.get_attribute("points")
    tab.locator("figure[data-panel]").nth(1).locator("input[type=checkbox]").check()
    assert chart.locator(".smooth").first.get_attribute("points") != before
    tab.close()


def test_a_leak_comes_before_the_verdict(chromium: Browser, tmp_path: Path) -> None:
    """That the mAP cannot be trusted is above the pattern, with the findings and the command that mends it."""
    file = tmp_path / "index.html"
    facts = AuditFacts({"leaked": 0.4})
    file.write_text(
        diagnosis_page.render([diagnose(families.good(), facts, source="results.csv")]), encoding="utf-8"
    )
    tab = chromium.new_page()
    tab.goto(file.as_uri())
    verdicts = tab.locator(".verdict").all_inner_texts()
    assert "This mAP cannot be trusted." in verdicts[0]
    assert "Good training" in verdicts[1]
    assert "trainworthy split DATASET" in tab.locator(".distrust code").inner_text()
    assert violations(tab) == []
    tab.close()
