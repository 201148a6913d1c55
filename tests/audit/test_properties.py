"""What holds for the audit of every dataset: names and order mean nothing, formats mean nothing, nothing is touched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import run_audit, write
from trainworthy_audit import formats
from trainworthy_audit.types import AuditResult, Box, Example, Picture

FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))

#: Boxes in images of 160 x 120: ordinary, out of bounds, without extent, tiny, over the whole image, and repeats.
BOXES = st.sampled_from(
    [
        Box("cat", 20, 30, 80, 90), Box("dog", 100, 40, 150, 100), Box("cat", 20, 30, 80, 90),
        Box("dog", 20, 30, 80, 90), Box("dog", 100, 40, 190, 100), Box("Cat", 60, 10, 90, 140),
        Box("cat", 50, 50, 50, 80), Box("dog", 30, 30, 31.5, 31), Box("cat", 0.5, 0.5, 160, 120),
        Box("cat", 10, 60, 150, 64),
    ]
)  # fmt: skip


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Picture, ...]:
    """Up to six images of different scenes, some copied with their labels, in up to two splits."""
    made: list[Picture] = []
    for number in range(draw(st.integers(1, 5))):
        boxes = draw(st.none() | st.lists(BOXES, max_size=4).map(tuple))
        split = draw(st.sampled_from(["train", "val"]))
        size = draw(st.sampled_from([(160, 120), (160, 120), (120, 160)]))
        made.append(Picture(f"{number}.jpg", scene=700 + number, size=size, boxes=boxes, split=split))
    if draw(st.booleans()):
        original = draw(st.sampled_from(made))
        split = draw(st.sampled_from(["train", "val"]))
        made.append(replace(original, name="copy.jpg", like=original.name, split=split))
    return tuple(made)


def audited(example: Example, folder: Path) -> AuditResult:
    """The audit of an example, after which every byte and every time of its files is as before."""
    write(example, folder)
    before = state(folder)
    audit = run_audit(folder, format=example.format)
    assert state(folder) == before
    assert not audit.crashed
    return audit


def state(folder: Path) -> dict[Path, tuple[bytes, int, int]]:
    """{path: content, time of last change and mode} of every file and folder."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        info = path.stat()
        found[path] = (path.read_bytes() if path.is_file() else b"", info.st_mtime_ns, info.st_mode)
    return found


def findings(
    audit: AuditResult, name_of: Mapping[str, str], *, where: Iterable[str] = ()
) -> list[tuple[Any, ...]]:
    """The findings without order: rule, the images that it is about by `name_of`, label, split, message, measured."""
    rows = []
    for row in audit.findings.to_dicts():
        images = [row["image"], *row["related"]]
        known = sorted(name_of[Path(path).name] for path in images if path and Path(path).name in name_of)
        message = row["message"]
        for new, old in name_of.items():
            message = message.replace(Path(new).stem, Path(old).stem)
        rows.append(
            (
                row["rule"],
                known,
                row["label"] or "",
                ""
                if row["related"]
                else row["split"] or "",  # which of several images stands first means nothing
                message,
                *(row[key] for key in where),
            )
        )
    return sorted(rows, key=repr)


@given(
    pictures(),
    st.permutations(["m", "k", "z", "b", "t", "q"]),
    st.sampled_from(["voc", "coco", "yolo", "darknet"]),
)
@FEW
def test_names_and_order_of_files_mean_nothing(
    held: tuple[Picture, ...], letters: list[str], kind: str
) -> None:
    """Images under other names, hence in another order, have the same findings."""
    if all(picture.boxes is None for picture in held):  # then there is no annotation to recognise a format by
        return
    new = {picture.name: f"image_{letter}.jpg" for picture, letter in zip(held, letters, strict=False)}
    renamed = tuple(
        replace(picture, name=new[picture.name], like=new[picture.like] if picture.like else "")
        for picture in held
    )
    with tempfile.TemporaryDirectory() as place:
        one = audited(Example(held, format=kind, classes=("cat", "dog", "Cat")), Path(place, "one"))
        other = audited(Example(renamed, format=kind, classes=("cat", "dog", "Cat")), Path(place, "other"))
    same = {picture.name: picture.name for picture in held}
    assert findings(one, same) == findings(other, {after: before for before, after in new.items()})
    assert one.verdict == other.verdict


#: What depends on what a format can express: darknet and YOLO declare no sizes, and where an annotation file stands
#: says something else in each.
FORMAT_RULES = {"A003", "C004", "C006", "I004"}


@given(pictures().map(lambda held: tuple(picture for picture in held if picture.boxes)))
@FEW
def test_the_format_means_nothing(held: tuple[Picture, ...]) -> None:
    """The same images and boxes as COCO, YOLO and darknet have the same findings, measured alike.

    Pascal VOC holds whole pixels only, and so measures otherwise.
    """
    if not held or any(picture.like and picture.like not in {one.name for one in held} for picture in held):
        return
    same = {picture.name: picture.name for picture in held}
    classes = tuple(
        sorted({box.label for picture in held for box in picture.boxes or ()})
    )  # VOC declares no others
    results = []
    for kind in ("coco", "yolo", "darknet"):
        with tempfile.TemporaryDirectory() as place:
            audit = audited(Example(held, format=kind, classes=classes), Path(place))
        kept = audit.findings.filter(~pl.col("rule").is_in(list(FORMAT_RULES)))
        results.append(findings(replace(audit, findings=kept), same, where=("measured",)))
    for result in results[1:]:
        assert len(result) == len(results[0])
        for one, other in zip(results[0], result, strict=True):
            assert (one[0], one[1], one[2]) == (other[0], other[1], other[2])
            assert one[-1] == (None if other[-1] is None else pytest.approx(other[-1], rel=1e-3, abs=1e-2))


def test_every_format_is_asked() -> None:
    """A format that is added is added here, too, or said to have no writer for examples."""
    assert formats.names() == ("coco", "darknet", "dota", "voc", "yolo")
