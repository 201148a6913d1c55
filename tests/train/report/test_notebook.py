from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support import families
from support.browser import IN_BROWSER, violations
from trainworthy_train.diagnosis import diagnose
from trainworthy_train.report import notebook
from trainworthy_train.types import Curves, Diagnosis

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>"


def diagnoses() -> list[Diagnosis]:
    """One of each pattern, and one without a verdict."""
    runs = [*(make() for make in families.FAMILIES.values()), Curves()]
    return [diagnose(run, source=f"runs/train{number}/results.csv") for number, run in enumerate(runs)]


def test_a_diagnosis_shows_itself_with_its_charts() -> None:
    """Verdict, two charts as SVG, evidence and advice; nothing is loaded, and no script runs."""
    html = notebook.render(diagnose(families.declining(), source="runs/train7/results.csv"))
    assert "Overtraining (" in html
    assert html.count('role="img"') == 2
    assert html.count("<polyline") == 6
    assert "evaluations it fell by" in html
    assert "the best evaluation of mAP@50" in html
    assert not re.search(r"https?:|src=|url\(|<script|<link|<html", html)


def test_its_style_applies_to_nothing_else() -> None:
    """Every rule of its style sheet is about elements inside the fragment."""
    html = notebook.render(diagnose(families.good()))
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    selectors = [part.strip() for rule in re.findall(r"([^{}]+)\{", style) for part in rule.split(",")]
    assert len(selectors) > 20
    assert all(selector.startswith(".trainworthy-diagnosis") for selector in selectors)


def test_names_that_are_markup_are_text() -> None:
    """A path, a run's name or a note that is markup is shown as it is."""
    run = dataclasses.replace(families.good(), name=HOSTILE, notes=(HOSTILE,))
    html = notebook.render(diagnose(run, source=HOSTILE))
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("</style>") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_a_page(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    """In a page of light or dark text axe-core finds nothing, it is no wider than the screen, and the rest stays."""
    page = f"""<!DOCTYPE html><html lang="en"><title>Notebook</title><meta name="color-scheme" content="{scheme}">
    <main><h1>Notebook</h1><h2>Runs</h2><p class="note" id="other">Another cell</p>
    {"".join(f"<section>{notebook.render(one)}</section>" for one in diagnoses())}</main></html>"""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    tab = chromium.new_page(viewport={"width": 900, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
    tab.goto((tmp_path / "page.html").as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 900
    assert tab.evaluate("getComputedStyle(document.getElementById('other')).opacity") == "1"
    tab.close()
    assert wrong == []


for mark in IN_BROWSER:
    test_it_can_be_read_in_a_page = mark(test_it_can_be_read_in_a_page)
