from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from support import made
from support.browser import IN_BROWSER, violations
from support.reports import render
from trainworthy_audit.report.shared import index

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def report(tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("reports") / "cells"
    folder.mkdir()
    (folder / "index.html").write_text(
        render("html", made.cells(30), previews=made.pictures), encoding="utf-8"
    )
    (folder / "audit.json").write_text(render("json", made.cells(30)), encoding="utf-8")
    approved = made.audit(made.dataset([], []))
    (folder.parent / "empty").mkdir()
    (folder.parent / "empty/index.html").write_text(
        render("html", approved, previews=made.pictures), encoding="utf-8"
    )
    (folder.parent / "empty/audit.json").write_text(render("json", approved), encoding="utf-8")
    (folder.parent / "index.html").write_text(index.render(folder.parent), encoding="utf-8")
    return folder / "index.html"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: Any) -> Path:
    """A report with as many cards and rows as fit."""
    paths = [f"images/{index:04}.jpg" for index in range(300)]
    boxes = [
        made.box(i, k, f"label {k}", 9.0 * k, 9.0 * k, 9.0 * k + 20, 80) for i in range(300) for k in range(9)
    ]
    held = made.dataset(paths, boxes, splits={"train": range(200), "val": range(200, 300)})
    codes = ("B001", "I002", "A001", "B006", "S002", "O001", "N001")
    found = [
        made.finding(code, "error", "m " * (i % 9), image=path, annotation="a.xml", line=3, box=0, label="a")
        for code in codes
        for i, path in enumerate(paths)
    ]
    outcomes = [made.outcome(code, "error", "failed", findings=300) for code in codes]
    page: Path = tmp_path_factory.mktemp("crowded") / "index.html"
    audit = made.audit(held, found, outcomes, verdict="rejected")
    page.write_text(render("html", audit, previews=made.pictures), encoding="utf-8")
    return page


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A tab in which nothing may go wrong: no error, no dialog, no request beyond the file."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url),
    )
    yield page
    page.close()
    assert wrong == []


def shown(tab: Page) -> list[str]:
    """The rules that can be seen."""
    return [rule.get_attribute("data-rule") or "" for rule in tab.locator(".rule").all() if rule.is_visible()]


def test_filters_show_what_fits_and_say_how_much(tab: Page, report: Path) -> None:
    """Severity, rule, label, split and text narrow the findings down; Clear brings them back."""
    tab.goto(report.as_uri())
    said = tab.locator(".filters output")
    assert said.inner_text() == "7 shown"
    tab.select_option("select[name=severity]", "error")
    assert shown(tab) == ["I002", "A001", "B001"]
    assert said.inner_text() == "4 of 7 shown"
    tab.fill("input[name=q]", "BEYOND right")
    assert shown(tab) == ["B001"]
    assert said.inner_text() == "1 of 7 shown"
    tab.click("button[type=reset]")
    assert len(shown(tab)) == 6
    tab.select_option("select[name=label]", "WBC")
    assert shown(tab) == ["N001"]


def test_filter_is_kept_in_the_address(tab: Page, report: Path) -> None:
    """The address of a filtered page shows the same to whoever opens it."""
    tab.goto(report.as_uri())
    tab.select_option("select[name=rule]", "D002")
    tab.fill("input[name=q]", "looks & like #2")
    address = tab.evaluate("location.href")
    tab.goto("about:blank")
    tab.goto(address)
    assert tab.input_value("select[name=rule]") == "D002"
    assert tab.input_value("input[name=q]") == "looks & like #2"
    assert shown(tab) == []
    tab.fill("input[name=q]", "")
    assert shown(tab) == ["D002"]


def test_link_to_a_hidden_rule_lifts_the_filter(tab: Page, report: Path) -> None:
    """A link in the summary always leads to its rule."""
    tab.goto(report.as_uri())
    tab.select_option("select[name=rule]", "D002")
    tab.click(".summary a[href='#rule-B001']")
    tab.wait_for_function("document.querySelector('#rule-B001').checkVisibility()")
    assert "B001" in shown(tab)


@pytest.mark.parametrize("width", [1280, 400])
def test_links_land_at_their_headings(chromium: Browser, crowded: Path, width: int) -> None:
    """The first click on any link within the page stops with the heading right below what stays on top."""
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto(crowded.as_uri())
    anchors = page.locator("a[href^='#']:not(.skip)")
    places = dict.fromkeys(link.get_attribute("href") for link in anchors.all())
    assert {"#findings", "#spot-check", "#checklists", "#labels", "#shapes", "#about", "#splits"} < set(
        places
    )
    far = {}
    for place in places:
        page.goto("about:blank")
        page.goto(crowded.as_uri())
        page.locator(f"a[href='{place}']:not(.skip)").first.click()
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        far[place] = page.evaluate(
            """place => {
                const target = document.querySelector(place);
                const filters = document.querySelector(".filters");
                const stuck = target.matches(".rule") && getComputedStyle(filters).position === "sticky";
                const bar = stuck ? filters : document.querySelector("nav");
                const heading = target.querySelector("h2, h4") || target;
                return heading.getBoundingClientRect().top - bar.getBoundingClientRect().bottom;
            }""",
            place,
        )
    page.close()
    assert {place: below for place, below in far.items() if not 0 <= below <= 40} == {}


@pytest.mark.parametrize("width", [1280, 400])
def test_index_fits_the_screen(tab: Page, report: Path, width: int) -> None:
    """Every column of the page over all audits is seen, on a narrow screen as on a wide one."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto((report.parent.parent / "index.html").as_uri())
    for cell in tab.locator("tbody tr > *").all():
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
        assert box["height"] < 100


def test_whole_image_is_one_click_away(tab: Page, report: Path) -> None:
    """A picture opens large with its boxes; arrows lead on, Escape closes, and the focus returns."""
    tab.goto(report.as_uri())
    shot = tab.locator("#rule-B001 button.shot").first
    shot.click()
    dialog = tab.locator("#lightbox")
    assert dialog.is_visible()
    assert "JPEGImages/000.jpg" in tab.locator("#lightbox-title").inner_text()
    whole = dialog.locator("svg")
    left, top, width, height = map(float, (whole.get_attribute("viewBox") or "").split())
    assert (left, top) == (0, 0)
    assert width > 194  # the box that reaches out of the image is seen whole
    assert height == 120
    assert dialog.locator(".subject").is_visible()
    finding = tab.locator("#lightbox-finding")
    assert finding.inner_text() == "B001 · box reaches 34.0 px beyond the right edge of the image"
    dialog.get_by_role("checkbox").click()
    assert not dialog.locator(".subject").is_visible()
    tab.keyboard.press("ArrowRight")
    assert "JPEGImages/001.jpg" in tab.locator("#lightbox-title").inner_text()
    tab.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert tab.evaluate("document.activeElement.closest('.rule').id") == "rule-B001"
    tab.locator("#spot-check button.shot").first.click()
    assert finding.inner_text() == ""


def test_pictures_are_painted(tab: Page, report: Path) -> None:
    """The embedded image is really seen: its grey is on the screen where the card is."""
    from io import BytesIO

    from PIL import Image

    tab.goto(report.as_uri())
    shot = tab.locator("#rule-I002 button.shot").first
    shot.scroll_into_view_if_needed()
    seen = Image.open(BytesIO(shot.screenshot())).convert("RGB")
    red, green, blue = seen.getpixel((seen.width - 20, seen.height - 20))
    assert abs(red - 0x55) < 8
    assert abs(green - 0x55) < 8
    assert abs(blue - 0x66) < 8


def test_command_can_be_copied(tab: Page, report: Path) -> None:
    """The button copies the command, or selects it where there is no clipboard."""
    tab.goto(report.as_uri())
    button = tab.locator(".meta .copy")
    button.click()
    tab.wait_for_function(
        "['Copied', 'Selected'].includes(document.querySelector('.meta .copy').textContent)"
    )


@pytest.mark.parametrize("name", ["cells", "empty", "."])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_accessible(chromium: Browser, report: Path, name: str, scheme: Any, width: int) -> None:
    """axe-core finds nothing, in light and dark, wide and narrow, and nothing is wider than the screen."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto((report.parent.parent / name / "index.html").as_uri())
    page.add_style_tag(content=".shot { content-visibility: visible !important }")
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if page.locator("button.shot").count():
        page.locator("button.shot").first.click()
        assert violations(page, "#lightbox") == []
    context.close()


def test_hostile_names_run_nothing(tab: Page, tmp_path: Path) -> None:
    """Names, labels and messages that are scripts are shown, not run, also when filtered and opened."""
    hostile = "</script><img src=x onerror=alert(1)>\"'><svg onload=alert(2)>"
    held = made.dataset([f"{hostile}.jpg"], [made.box(0, 0, hostile, 1, 1, 9, 9)], splits={hostile: [0]})
    found = [
        made.finding(
            "B001", "error", hostile, image=f"{hostile}.jpg", label=hostile, split=hostile, text=hostile
        )
    ]
    audit = made.audit(held, found, [made.outcome("B001", "error", "failed", findings=1)], name=hostile)
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "index.html").write_text(render("html", audit, previews=made.pictures), encoding="utf-8")
    (folder / "audit.json").write_text(
        render("json", dataclasses.replace(audit, verdict="rejected")), encoding="utf-8"
    )
    (tmp_path / "index.html").write_text(index.render(tmp_path), encoding="utf-8")
    tab.goto((folder / "index.html").as_uri())
    tab.select_option("select[name=label]", index=1)
    assert shown(tab) == ["B001"]
    tab.locator("button.shot").first.click()
    assert hostile in tab.locator("#lightbox-title").inner_text()
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.locator("tbody tr").count() == 1


def test_works_without_scripts(chromium: Browser, report: Path) -> None:
    """Without scripts everything can be read; only the filters and the large view are missing."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".rule").count() == 6
    assert page.locator("#rule-B001 .card").first.is_visible()
    assert not page.locator(".filters").is_visible()
    context.close()


def test_index_leads_to_the_reports(tab: Page, report: Path) -> None:
    """The page over all audits lists them with verdict and blockers, and each link opens its report."""
    tab.goto((report.parent.parent / "index.html").as_uri())
    rows = [row.inner_text().split("\t") for row in tab.locator("tbody tr").all()]
    assert [row[0].strip() for row in rows] == ["cells", "empty"]
    assert [row[1].strip() for row in rows] == ["✖ rejected", "✔ approved"]
    tab.click("text=B001")
    tab.wait_for_url("**/cells/index.html#rule-B001")
    assert tab.locator("h1").inner_text() == "cells"
