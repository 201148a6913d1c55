"""Waivers excuse exactly the content that a person has seen, for as long as that person said."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from support.helpers import measurer, run_audit
from trainworthy_audit import auditing, demo, waivers
from trainworthy_audit.config import Config
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.source import open_source
from trainworthy_audit.types import FINDINGS, AuditResult, Box, Evidence, Example, Picture, Waiver

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 22)
LATER = date(2999, 1, 1)

#: Two boxes out of bounds in one image, a third in another, and too few images for both labels.
OUTSIDE = Example(
    (
        Picture("a.jpg", scene=1, boxes=(Box("cat", 100, 10, 190, 60), Box("dog", 100, 10, 180, 60))),
        Picture("b.jpg", scene=2, boxes=(Box("cat", 100, 10, 190, 60),)),
        Picture("c.jpg", scene=3, boxes=(Box("cat", 10, 10, 60, 60),)),
    ),
    format="voc",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    demo.write(OUTSIDE, tmp_path / "data")
    return tmp_path / "data"


def keys(dataset: Path, *select: str) -> list[str]:
    return run_audit(dataset, select=select or ("B001",)).findings["key"].to_list()


def waiver(keys: list[str], rule: str = "B001", expires: date = LATER) -> Waiver:
    return Waiver(rule, tuple(keys), "the frame cuts them off", "Ada", expires)


def audited(dataset: Path, *accepted: Waiver) -> AuditResult:
    return auditing.audit(open_source(dataset), Config(select=("B001",)), measurer(), accepted=accepted)


def test_keys_are_the_same_on_every_run_and_differ_between_findings(data: Path) -> None:
    """Each finding has a key of its own, which another run gives again."""
    first = keys(data)
    assert len(first) == len(set(first)) == 3
    assert all(waivers.KEY.fullmatch(key) for key in first)
    assert keys(data) == first


def test_keys_survive_renaming_and_moving(data: Path, tmp_path: Path) -> None:
    """A copy elsewhere, whose files have other names and another order, has the same keys."""
    moved = tmp_path / "moved"
    for old, new in (("a", "z"), ("b", "y"), ("c", "x")):
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            target = moved / folder / f"{new}.{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / folder / f"{old}.{suffix}", target)
            if suffix == "xml":
                target.write_text(target.read_text().replace(f"{old}.jpg", f"{new}.jpg"))
    assert sorted(keys(moved)) == sorted(keys(data))


def test_an_edited_box_ends_the_keys_of_its_image_only(data: Path) -> None:
    """Moving one box changes the keys of all findings on its image, and of no other image."""
    before = keys(data)
    xml = data / "Annotations" / "a.xml"
    xml.write_text(xml.read_text().replace("<xmax>180</xmax>", "<xmax>181</xmax>"))
    after = keys(data)
    assert set(before[:2]).isdisjoint(after)
    assert after[2] == before[2]


def test_an_edited_picture_ends_its_keys(data: Path) -> None:
    """Another byte in the picture's file, here after its end, changes the keys of its findings."""
    before = keys(data)
    with (data / "JPEGImages" / "b.jpg").open("ab") as handle:
        handle.write(b"\0")
    assert keys(data) == [*before[:2], keys(data)[2]]
    assert keys(data)[2] != before[2]


def test_a_relabelled_box_ends_the_keys(data: Path) -> None:
    """The label belongs to the content that a waiver excuses."""
    before = keys(data)
    xml = data / "Annotations" / "b.xml"
    xml.write_text(xml.read_text().replace("cat", "dog"))
    assert keys(data)[2] != before[2]


def test_formatting_of_the_file_does_not_matter(data: Path) -> None:
    """Rewriting an annotation file with other white space keeps its findings' keys."""
    before = keys(data)
    xml = data / "Annotations" / "a.xml"
    xml.write_text(xml.read_text().replace("\n", "\n\n"))
    assert keys(data) == before


def test_dataset_findings_are_bound_to_what_was_measured(data: Path) -> None:
    """A finding on the whole dataset gets another key when its measured value changes."""
    before = keys(data, "N001")
    assert len(before) == 2
    (data / "Annotations" / "c.xml").unlink()
    after = keys(data, "N001")
    assert len(set(before) & set(after)) == 1


def test_alike_findings_are_numbered(tmp_path: Path) -> None:
    """Findings that nothing tells apart get running numbers, so that each can be waived alone."""
    box = Box("cat", 100, 10, 190, 60)
    demo.write(Example((Picture("a.jpg", boxes=(box, box)),)), tmp_path / "data")
    first, second = keys(tmp_path / "data")
    assert second == f"{first}-2"
    assert waivers.KEY.fullmatch(second)


def test_findings_on_files_are_bound_to_the_file(tmp_path: Path) -> None:
    """A row that could not be read is excused as it stands: an edit of its file ends that."""
    bad = Example((Picture("a.jpg"),), files={"labels/train/a.txt": "0 0.5 0.5\n"})
    demo.write(bad, tmp_path / "data")
    (before,) = keys(tmp_path / "data", "A001")
    (tmp_path / "data" / "labels" / "train" / "a.txt").write_text("0 0.5 0.6\n")
    (after,) = keys(tmp_path / "data", "A001")
    assert before != after


def test_applied_waivers_mark_their_findings(data: Path) -> None:
    """A waived finding names its waiver; the verdict follows when every blocking finding is waived."""
    all_keys = keys(data)
    partly = audited(data, waiver(all_keys[:1]))
    assert partly.findings["waived"].to_list() == [0, None, None]
    assert partly.verdict == "rejected"
    assert partly.outcomes["B001"].waived == 1
    wholly = audited(data, waiver(all_keys[:1]), waiver(all_keys))
    assert wholly.findings["waived"].to_list() == [0, 1, 1]
    assert wholly.verdict == "approved-with-waivers"
    assert [one.status for one in wholly.waivers] == ["used", "used"]


def test_useless_and_expired_waivers_are_told_apart(data: Path) -> None:
    """An expired waiver excuses nothing; one that fits nothing is unused; the last day still counts."""
    today = datetime.now(UTC).date()
    all_keys = keys(data)
    made = audited(
        data,
        waiver(all_keys, expires=date(2020, 1, 1)),
        waiver(["0123456789abcdef"]),
        waiver(all_keys, rule="B002"),
        waiver(all_keys, expires=today),
    )
    assert [one.status for one in made.waivers] == ["expired", "unused", "unused", "used"]
    assert made.findings["waived"].to_list() == [3, 3, 3]


def test_an_edit_ends_a_waiver(data: Path) -> None:
    """What was approved with a waiver is rejected again once the excused content changes."""
    accepted = waiver(keys(data))
    assert audited(data, accepted).verdict == "approved-with-waivers"
    xml = data / "Annotations" / "b.xml"
    xml.write_text(xml.read_text().replace("<xmax>190</xmax>", "<xmax>191</xmax>"))
    made = audited(data, accepted)
    assert made.verdict == "rejected"
    assert made.findings["waived"].null_count() == 1


def test_keys_of_many_findings_are_computed_at_once() -> None:
    """A hundred thousand findings without any image come out in order, alike ones with numbers."""
    count = 100_000
    findings = pl.DataFrame(
        {"rule": ["N001"] * count, "label": [str(index // 2) for index in range(count)]}
    ).select(
        *(
            pl.col(name) if name in {"rule", "label"} else pl.lit(None, kind).alias(name)
            for name, kind in FINDINGS.items()
        )
    )
    findings = findings.with_columns(pl.lit([], pl.List(pl.String)).alias("related"))
    evidence = _empty_evidence()
    made = waivers.keys(findings, evidence, {})
    assert made.n_unique() == count
    assert made[1] == f"{made[0]}-2"


def _empty_evidence() -> Evidence:
    from trainworthy_audit.formats.shared.fractions import in_pixels
    from trainworthy_audit.types import BOXES, IMAGES, PAIRS, PIXELS, Dataset, empty

    images = empty(IMAGES).join(empty(PIXELS), on="image")
    boxes = empty(BOXES).with_columns(
        pl.lit(None, pl.String).alias("path"),
        pl.lit(None, pl.Float64).alias("image_width"),
        pl.lit(None, pl.Float64).alias("image_height"),
    )
    return Evidence(
        Dataset("x", "voc"), empty(PIXELS), empty(PAIRS), images, in_pixels(boxes, fractions=False)
    )


# ------------------------------------------------------------------------------------------------------------
# The file


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """A waiver that was added to a file comes back from it, and what stood there stays, comments too."""
    old = "# agreed in the review of May\n[[waiver]]\nrule = 'I005'  # phones\nfindings = ['0123456789abcdef-2']\n"
    old += "reason = 'rotated'\nauthor = 'Bob'\nexpires = 2030-01-31\n"
    new = Waiver("B001", ("00000000000000aa", "00000000000000bb"), 'cut "off"', "Åda", LATER, "a.jpg, line 3")
    text = waivers.appended(old, new)
    assert text.startswith(old)
    file = tmp_path / "data.waivers.toml"
    file.write_text(text, "utf-8")
    first, second = waivers.read(file)
    assert second == new
    assert first == Waiver("I005", ("0123456789abcdef-2",), "rotated", "Bob", date(2030, 1, 31))
    file.write_text(waivers.appended("", new), "utf-8")
    assert waivers.read(file) == (new,)


GOOD = {
    "rule": "B001",
    "findings": ["0123456789abcdef"],
    "reason": "r",
    "author": "a",
    "expires": date(2030, 1, 1),
}


def toml(**changes: object) -> str:
    """One waiver as TOML; a value of None leaves its key out."""
    lines = [
        f"{key} = {value.isoformat() if isinstance(value, date) else json.dumps(value)}"
        for key, value in {**GOOD, **changes}.items()
        if value is not None
    ]
    return "\n".join(["[[waiver]]", *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (toml(reason=None), "waiver 1 in {} has no reason\n  rule, findings, reason, author and expires are"),
        (toml(reason="  "), "waiver 1 in {} has no reason"),
        (toml(author=None), "waiver 1 in {} has no author"),
        (toml(rule=None), "waiver 1 in {} has no rule"),
        (toml(expires=None), "waiver 1 in {} does not say when it expires\n  Expected a date: "),
        (toml(expires="2030-01-01"), "waiver 1 in {} does not say when it expires"),
        (toml(findings=None), "findings in waiver 1 in {} is not a list of finding ids"),
        (toml(findings=[]), "findings in waiver 1 in {} is not a list of finding ids"),
        (toml(findings=["*"]), "findings in waiver 1 in {} is not a list of finding ids"),
        (toml(rule="B01"), "unknown rule 'B01' in waiver 1 in {}\n  Did you mean 'B001'?"),
        (toml() + "\n" + toml(expiry=3), "unknown key 'expiry' in waiver 2 in {}\n  Did you mean 'expires'?"),
        ("[waiver]\nrule = 'B001'", "{} has [waiver]\n  Expected [[waiver]], in two brackets."),
        ("waiver = [3]", "waiver 1 in {} is no table"),
        ("[[waivers]]", "unknown key 'waivers' in {}\n  Expected only [[waiver]] tables."),
        ("[[waiver]", "{} is not valid TOML"),
        ("x = " + "[" * 5000, "{} is not valid TOML"),
    ],
)  # fmt: skip
def test_incomplete_waivers_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """Reason, author and expiry are mandatory; whatever is wrong is named with its place."""
    file = tmp_path / "data.waivers.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        waivers.read(file)
    assert str(caught.value).startswith(message.format(file))


def test_new_waivers_must_hold_for_a_while(data: Path) -> None:
    """A waiver that has expired already, or gives no reason or author, is not made."""
    told = {"reason": "r", "author": "a", "expires": TODAY, "today": TODAY}
    waivers.check("B001", **told)
    for wrong, message in (
        ({"expires": date(2026, 11, 21)}, "--expires 2026-11-21 is in the past"),
        ({"reason": " "}, "--reason is empty"),
        ({"author": ""}, "--author is empty"),
    ):
        with pytest.raises(ConfigError, match=message):
            waivers.check("B001", **(told | wrong))
    with pytest.raises(ConfigError, match="no rule 'B01'\n  Did you mean B001"):
        waivers.check("B01", **told)


def test_new_waivers_say_what_they_excuse(data: Path) -> None:
    """A waiver names its place, or how many there are and the first one."""
    findings = audited(data).findings
    told = {"reason": " r ", "author": "a", "expires": LATER}
    made = waivers.excuse(findings, "B001", **told)
    assert made == Waiver(
        "B001", tuple(findings["key"]), "r", "a", LATER, "3 findings, first JPEGImages/a.jpg, line 4"
    )
    assert waivers.excuse(findings[2:], "B001", **told).where == "JPEGImages/b.jpg, line 4"


def test_findings_are_chosen_by_image_and_by_id(data: Path) -> None:
    """A glob chooses images, ids choose findings, and what is waived already is not chosen again."""
    all_keys = keys(data)

    def chosen(*accepted: Waiver, pattern: str | None = None, ids: tuple[str, ...] = ()) -> list[str]:
        made = audited(data, *accepted)
        return waivers.choose(made, "B001", pattern=pattern, chosen=ids, dataset=data)["key"].to_list()

    assert chosen() == all_keys
    assert chosen(pattern="JPEGImages/a*") == all_keys[:2]
    assert chosen(ids=(all_keys[1],)) == all_keys[1:2]
    assert chosen(waiver(all_keys[:1])) == all_keys[1:]
    with pytest.raises(ConfigError, match="has no finding ffffffffffffffff of B001"):
        chosen(ids=("ffffffffffffffff",))
    with pytest.raises(ConfigError, match=r"nothing to waive: B001 found 3 in .*, 3 are waived$"):
        chosen(waiver(all_keys))
    with pytest.raises(ConfigError, match=r"0 are waived, and no other is on an image like \*\.png"):
        chosen(pattern="*.png")
