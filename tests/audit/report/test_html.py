from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from support import made
from support.reports import render as report
from trainworthy_audit.evidence import scenes
from trainworthy_audit.report import html
from trainworthy_audit.report.html import pictures
from trainworthy_audit.report.shared import charts, checklists, spotcheck

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "</script><script>alert(1)</script>",
    "<!--",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "\u202egpj.exe",
    "\u2028\u2029",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "x" * 5000,
]


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def render(audit: made.AuditResult) -> str:
    return report("html", audit, previews=made.pictures)


def one(message: str = "m", **fields: Any) -> made.AuditResult:
    found = [made.finding("B001", "error", message, **fields)]
    held = made.dataset(["a.jpg"], [made.box(0, 0, "RBC", 1, 1, 9, 9)])
    outcomes = [made.outcome("B001", "error", "failed", findings=1)]
    return made.audit(held, found, outcomes, verdict="rejected")


def test_first_screen_answers_what_people_ask_first() -> None:
    """Name, verdict, blockers with counts, waivers with author and expiry, what was not checked, the origin."""
    page = Page(render(made.cells()))
    first = page.text.split("Findings Text")[0]
    for told in (
        "cells",
        "Rejected: 3 findings of 3 rules block training.",
        "6 images · 18 boxes · 2 labels · 2 splits · Pascal VOC",
        "B001 box reaches beyond the image 1",
        "amodal boxes are wanted here Ada Lovelace , until 2027-01-31",
        "look at the spot check",
        "blake3:" + "ab" * 32,
        "trainworthy audit data/cells",
        "2026-11-20 10:00:00 UTC · trainworthy 0.1.0",
    ):
        assert told in first


def test_page_loads_nothing() -> None:
    """No address of another machine, and a policy that forbids any, with the script allowed by its hash."""
    page = render(made.cells())
    assert not re.search(r"https?:|@import|url\(", page)
    loaded = {value for name, value in Page(page).attributes if name in {"src", "href"}}
    assert {value[:11] for value in loaded if not value.startswith("#")} == {"audit.json", "data:image/"}
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    assert f"content=\"{policy}{digest}'; base-uri" in page


def test_every_link_within_the_page_leads_somewhere() -> None:
    """Links, pictures and labels refer to elements that exist, and no id stands twice."""
    page = Page(render(made.cells()))
    wanted = {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    wanted |= {value for name, value in page.attributes if name == "aria-labelledby"}
    assert wanted <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_finding_shows_picture_box_place_and_values() -> None:
    """The card of a box has its picture, the offending box drawn as it lies, file:line, value and limit."""
    page = render(made.cells())
    card = next(part for part in page.split("<article")[1:] if "box reaches 34.0 px" in part)
    assert '<rect class="subject" x="40.0" y="20.0" width="154.0" height="40.0"/>' in card
    text = Page("<article" + card.split("</article>")[0]).text
    assert "measured 34 px limit 0.5 px label RBC box 1 split train" in text
    assert text.replace(" ", "").count("Annotations/000.xml:11") == 1


def test_likenesses_are_shown_side_by_side() -> None:
    """A finding about several images shows them beside each other, with how they are alike and what differs."""
    page = render(made.cells())
    card = next(part for part in page.split("<article")[1:] if "looks like another image" in part)
    card = card.split("</article>")[0]
    assert card.count("<svg") == 2
    assert "near, 3 of 64 bits differ, similarity 0.98" in card
    assert card.count("<small>160 x 120 px · 9 kB · val · 3 boxes") == 2


def test_damaged_image_says_where_the_damage_begins() -> None:
    """A damaged image is shown as it decodes, with its reason and the share of the file that is whole."""
    assert "damaged from 62 % of the file on" in Page(render(made.cells())).text


def test_image_that_does_not_decode_has_no_picture() -> None:
    """A finding about an undecodable image keeps its place and says why there is no picture."""
    audit = made.audit(
        made.dataset(["a.jpg"], []),
        [made.finding("I002", "error", "no image at all", image="a.jpg")],
        [made.outcome("I002", "error", "failed", findings=1)],
        pixels={0: {"status": "unreadable", "reason": "no image", "width": None, "height": None}},
        verdict="rejected",
    )
    page = Page(report("html", audit, previews=lambda paths, _: dict.fromkeys(paths)))
    assert "does not decode" in page.text
    assert "no image at all" in page.text


def test_picture_is_embedded_once() -> None:
    """Many findings on one image share its picture."""
    found = [
        made.finding("B001", "error", f"m{index}", image="a.jpg", annotation="Annotations/000.xml", box=0)
        for index in range(9)
    ]
    held = made.dataset(["a.jpg"], [made.box(0, 0, "RBC", 1, 1, 9, 9)])
    page = render(made.audit(held, found, [made.outcome("B001", "error", "failed", findings=9)]))
    assert page.count("data:image/jpeg;base64,") == 1
    assert all(f"m{index}" in page for index in range(9))


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_stays_text(text: str) -> None:
    """Names, labels, messages, waivers and verbatim rows add no element and no attribute, and are readable."""

    def audit(text: str) -> made.AuditResult:
        path = f"{text}.jpg"
        held = made.dataset([path], [made.box(0, 0, text, 1, 1, 9, 9)], splits={text: [0]})
        found = [
            made.finding("B001", "error", text, image=path, annotation=f"{text}.xml", line=3, label=text, split=text,
                         text=text, measured_text=text, limit_text=text, unit=text, related=[path, text], waived=0),
            made.finding("N001", "warning", text, label=text),
        ]  # fmt: skip
        outcomes = [
            made.outcome("B001", "error", "failed", findings=1, waived=1),
            made.outcome("N001", "warning", "failed", findings=1),
            made.outcome("D002", "warning", "crashed", reason=text),
        ]
        waiver = made.Waiver("B001", ("k",), text, text, made.date(2027, 1, 1), text)
        return made.audit(held, found, outcomes, waivers=(waiver,), name=text, verdict="rejected")

    hostile, plain = Page(render(audit(text))), Page(render(audit("plain")))
    ignored = {"wbr"}
    assert [tag for tag in hostile.tags if tag not in ignored] == [
        tag for tag in plain.tags if tag not in ignored
    ]
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert "\u202e" not in hostile.text
    if len(text) < 100 and text.isprintable():
        assert " ".join(text.split()) in hostile.text


def test_long_texts_are_cut() -> None:
    """A row of a megabyte does not make the page a megabyte longer."""
    long = render(
        one("m" * 10**6, text="t" * 10**6, label="l" * 10**6, image="a.jpg", measured_text="v" * 10**6)
    )
    assert len(long) < len(render(one(image="a.jpg"))) + 10_000


@pytest.mark.parametrize(
    "edges", [(float("nan"), 1, 2, 3), (float("-inf"), 0, float("inf"), 9), (None, None, None, None),
              (9, 9, 1, 1), (5, 5, 5, 5), (-1e9, -1e9, 1e9, 1e9), (300, 300, 400, 400)],
)  # fmt: skip
def test_any_box_can_be_drawn_or_left_out(edges: tuple[Any, ...]) -> None:
    """Boxes without a place are left out; swapped, empty, huge and far ones are drawn within finite numbers."""
    held = made.dataset(["a.jpg"], [made.box(0, 0, "RBC", *edges)])
    found = [made.finding("B001", "error", "m", image="a.jpg", annotation="Annotations/000.xml", box=0)]
    page = render(made.audit(held, found, [made.outcome("B001", "error", "failed", findings=1)]))
    values = [
        value for name, value in Page(page).attributes if name in {"x", "y", "width", "height", "viewbox"}
    ]
    numbers = [float(number) for value in values if value != "device-width" for number in value.split()]
    assert all(abs(number) <= 1000 for number in numbers)


def test_empty_dataset_has_a_page() -> None:
    """Nothing to show is said, not crashed on."""
    page = Page(render(made.audit(made.dataset([], []))))
    assert "Approved: nothing blocks training." in page.text
    assert "There is no image that can be shown." in page.text


def test_unknown_sizes_are_no_obstacle() -> None:
    """An image of unknown size, as in a dataset whose images are missing, is shown without a picture."""
    audit = made.audit(
        made.dataset(["a.jpg"], [made.box(0, 0, "RBC", 1, 1, 9, 9)]),
        [made.finding("B001", "error", "m", image="a.jpg", annotation="Annotations/000.xml", box=0)],
        [made.outcome("B001", "error", "failed", findings=1)],
        pixels={0: {"width": None, "height": None, "status": "unreadable"}},
    )
    assert "does not decode" in report("html", audit, previews=lambda paths, _: dict.fromkeys(paths))


def test_waived_rule_does_not_block_but_is_listed() -> None:
    """A rule whose findings are all waived stands apart from what blocks."""
    audit = made.cells()
    findings = audit.findings.with_columns(pl.lit(0, pl.UInt32).alias("waived"))
    page = Page(render(dataclasses.replace(audit, findings=findings, verdict="approved-with-waivers")))
    assert "Approved with waivers: 4 blocking findings are accepted." in page.text
    assert "What blocks Nothing." in page.text.replace("✖ ", "")
    assert "Blocking, but accepted by a waiver" in page.text


def test_crashed_rule_blocks() -> None:
    """A crash is told in the verdict, among the blockers and with its reason."""
    outcomes = [made.outcome("D002", "warning", "crashed", reason="ValueError: no (d002.py:1)")]
    page = Page(render(made.audit(made.dataset(["a.jpg"], []), (), outcomes, verdict="rejected")))
    assert "Rejected: 1 rule crashed" in page.text
    assert "ValueError: no (d002.py:1)" in page.text


def test_rare_labels_are_measured_against_the_recommended_number() -> None:
    """The line stands where the audit's own setting puts it, and labels below it are marked."""
    page = render(made.cells())
    assert "The line stands at 300 images" in page
    assert page.count('class="fill short"') == 2


def test_boxes_without_a_label_are_no_label_of_a_split() -> None:
    """A split counts the labels that its boxes have; a box of an unknown class adds none."""
    boxes = [made.box(0, 0, "RBC", 1, 1, 9, 9), made.box(0, 1, "", 1, 1, 9, 9) | {"label": None}]
    audit = made.audit(made.dataset(["a.jpg"], boxes, splits={"train": [0]}))
    assert charts.splits(audit.evidence, scenes.variety(audit.evidence)) == [
        charts.Split("train", 1, 1, 2, 1)
    ]


def test_changed_settings_are_on_the_first_screen() -> None:
    """Beside what was not checked stands by which settings the verdict was not everybody's."""
    changed = made.Setting("rules.B001.edge-pixels", 40, "/home/ada/trainworthy.toml")
    audit = made.cells()
    page = Page(render(dataclasses.replace(audit, settings=(*audit.settings, changed))))
    first = page.text.split("Findings Text")[0]
    assert "Changed settings B001.edge-pixels = 40 (trainworthy.toml) Dataset" in first
    assert "Changed settings" not in Page(render(audit)).text


def test_reason_is_told_once_for_all_its_rules() -> None:
    """Rules that were not applicable for the same reason are listed together."""
    alike = [made.outcome(code, "warning", "not-applicable", reason="no splits") for code in ("S002", "O001")]
    other = made.outcome("N001", "warning", "not-applicable", reason="no boxes")
    page = Page(render(made.audit(made.dataset(["a.jpg"], []), (), [*alike, other])))
    assert "3 rules not applicable S002 validation-small, O001 truncated: no splits" in page.text
    item = checklists.Item("t", ("S002", "N001", "O001"))
    (answer,) = checklists.answer(made.audit(made.dataset([], []), (), [*alike, other]), (item,))
    assert answer.told == "Not checked: no splits (S002, O001); no boxes (N001)."


def test_reduced_picture_says_so() -> None:
    """A picture with fewer pixels than its image says how many it has; one at full size does not."""
    held = made.dataset(["a.jpg"], [])
    small = report("html", made.audit(held, size=(1600, 1200)), previews=made.pictures)
    assert "1600 x 1200 px · 9 kB · no annotation · shown reduced to 160 x 120 px" in small
    assert "shown reduced" not in report("html", made.audit(held, size=(160, 120)), previews=made.pictures)


def test_checklists_are_filled_from_the_outcomes() -> None:
    """An item fails with its rules' errors, warns with warnings, passes, is not checked, or is left to people."""
    answers = {one.item.text: one for one in checklists.answer(made.cells(), checklists.DEBUGGING)}
    states = {text: one.state for text, one in answers.items()}
    assert states["Boxes are in bounds, finite and not zero-sized"] == "error"
    assert states["No duplicates, and validation is not too similar to training"] == "warning"
    assert states["Spot-check 20 to 50 images across the dataset"] == "judge"
    assert states["The order of names fits the ids in the labels"] == "unchecked"
    assert states["Boxes are neither specks nor repeated"] == "passed"
    assert answers["Boxes are in bounds, finite and not zero-sized"].told == "1 finding of B001."


def test_checklists_name_only_rules_that_exist() -> None:
    """Every code that a checklist asks for is one of a rule."""
    from trainworthy_audit.rules import catalogue

    asked = {
        code for items in (checklists.STARTER, checklists.DEBUGGING) for item in items for code in item.codes
    }
    assert asked <= set(catalogue())


def test_spot_check_is_random_reproducible_and_stratified() -> None:
    """20 to 50 images, the same for the same fingerprint, with every split and every label among them."""
    labels = ["common"] * 960 + ["rare"] * 30 + ["rarest"] * 10
    held = made.dataset(
        [f"{index:04}.jpg" for index in range(1000)],
        [made.box(index, 0, label, 1, 1, 9, 9) for index, label in enumerate(labels)],
        splits={"train": range(950), "val": range(950, 1000)},
    )
    audit = made.audit(held)
    chosen = spotcheck.choose(audit)
    assert 20 <= len(set(chosen)) == len(chosen) <= 50
    assert chosen == spotcheck.choose(audit)
    other = dataclasses.replace(audit, fingerprint="blake3:" + "cd" * 32)
    assert set(chosen) != set(spotcheck.choose(other))
    numbers = [int(path[:4]) for path in chosen]
    assert {labels[number] for number in numbers} == {"common", "rare", "rarest"}
    assert any(number < 950 for number in numbers)
    assert any(950 <= number < 960 for number in numbers)


def test_spot_check_leaves_out_what_cannot_be_seen() -> None:
    """Images that do not decode are no use to look at."""
    audit = made.audit(made.dataset(["a.jpg", "b.jpg"], []), pixels={0: {"status": "unreadable"}})
    assert spotcheck.choose(audit) == ["b.jpg"]


@pytest.mark.slow
def test_page_of_a_hundred_thousand_images_can_be_mailed() -> None:
    """Thousands of findings in 100,000 images with heavy pictures stay below 10 MB, and say what is left."""
    count = 100_000
    paths = [f"images/train/{'long-name-' * 12}{index:06}.jpg" for index in range(count)]
    held = made.dataset(paths, [])
    found = [
        made.finding(code, "error", "box reaches beyond the image " * 12, image=paths[index], annotation="a.xml",
                     line=3, box=0, label=f"label {index % 300}", related=paths[index : index + 9],
                     text="row " * 100, measured=float(index), limit=0.5)
        for code in ("B001", "I002", "A001", "B006", "S002", "O001", "N001")
        for index in range(2000)
    ]  # fmt: skip
    outcomes = [made.outcome(code, "error", "failed", findings=2000) for code in
                ("B001", "I002", "A001", "B006", "S002", "O001", "N001")]  # fmt: skip
    audit = made.audit(held, found, outcomes, verdict="rejected")
    heavy = made.Shot(os.urandom(90_000), 800, 600, 1.0)
    page = report("html", audit, previews=lambda asked, _: dict.fromkeys(asked, heavy))
    assert len(page.encode()) < html.SIZE_LIMIT
    assert page.count("data:image/jpeg;base64,") >= 40
    assert "of 14,000 findings are on this page" in Page(page).text
    assert page.count("data:image/jpeg;base64,") <= pictures.PICTURES
