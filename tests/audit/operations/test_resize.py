"""Smaller, upright images, and boxes that still lie on their objects."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from support.converting import content, evidence
from support.helpers import measurer, put, run_audit
from trainworthy_audit.config import Config
from trainworthy_audit.errors import DatasetError
from trainworthy_audit.operations import masks, resize
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.operations.changes import Changes

#: The object in the pictures below: a red box on grey, edges in pixels as stored, of 100 x 60.
RED = (20, 10, 50, 24)


def painted(
    size: tuple[int, int] = (100, 60), box: tuple[int, int, int, int] = RED, mode: str = "RGB"
) -> Image.Image:
    image = Image.new("RGB", size, "grey")
    image.paste((255, 0, 0), box)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", orientation: int = 0, **save: Any) -> bytes:
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        save["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}), **save)
    return buffer.getvalue()


def voc(folder: Path, data: bytes, declared: tuple[int, int] = (100, 60), name: str = "a.jpg") -> Path:
    x1, y1, x2, y2 = RED
    xml = (
        f"<annotation><size><width>{declared[0]}</width><height>{declared[1]}</height></size><object><name>red</name>"
        f"<bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        "</annotation>"
    )
    return put(folder, {f"JPEGImages/{name}": data, f"Annotations/{name.partition('.')[0]}.xml": xml})


def run(old: Path, out: Path, max_side: int, **more: Any) -> Changes:
    return resize.run(open_source(old), Config(), measurer(), max_side=max_side, out=out, workers=1, **more)


def red(image: Image.Image) -> tuple[float, float, float, float]:
    """The edges of what is red."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    ys, xs = np.nonzero((pixels[:, :, 0] > 190) & (pixels[:, :, 1] < 70))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.load()
    return image


@pytest.mark.parametrize("orientation", range(9))
def test_boxes_stay_on_their_objects(orientation: int, tmp_path: Path) -> None:
    """In all eight orientations the box is where the red is in the new picture, which has no orientation left."""
    old = voc(tmp_path / "old", encoded(painted(), orientation=orientation))
    run(old, tmp_path / "new", 50)
    image = opened(tmp_path / "new" / "JPEGImages" / "a.jpg")
    assert image.size == ((30, 50) if orientation >= 5 else (50, 30))
    assert image.getexif().get(0x0112) is None
    (found,) = next(iter(content(evidence(tmp_path / "new")).values()))
    assert found[1:] == pytest.approx(red(image), abs=1.01)
    assert run_audit(tmp_path / "new", select=("I", "A", "B")).verdict == "approved"


def test_an_upright_picture_that_is_small_enough_is_copied(tmp_path: Path) -> None:
    """Byte for byte; none is enlarged, and one that only needs turning keeps its size."""
    data, turned_data = encoded(painted()), encoded(painted(), orientation=6)
    old = put(voc(tmp_path / "old", data), {"JPEGImages/t.jpg": turned_data})
    changes = run(old, tmp_path / "new", 100)
    assert (tmp_path / "new" / "JPEGImages" / "a.jpg").read_bytes() == data
    assert opened(tmp_path / "new" / "JPEGImages" / "t.jpg").size == (60, 100)
    assert [(row["action"], row["before"], row["after"]) for row in changes.rows] == [
        ("copied", None, None),
        ("rewritten", [100, 60], [60, 100]),
    ]


def test_boxes_that_were_drawn_on_the_upright_picture_are_not_turned(tmp_path: Path) -> None:
    """The declared size says on which picture; that is told."""
    image = painted((60, 100)).transpose(
        Image.Transpose.ROTATE_90
    )  # stored lying, shown upright by orientation 6
    old = voc(tmp_path / "old", encoded(image, orientation=6), declared=(60, 100))
    changes = run(old, tmp_path / "new", 50)
    new = opened(tmp_path / "new" / "JPEGImages" / "a.jpg")
    assert new.size == (30, 50)
    (found,) = next(iter(content(evidence(tmp_path / "new")).values()))
    assert found[1:] == pytest.approx(red(new), abs=1.01)
    assert any("declare the size of the upright picture" in note for note in changes.notes)


def test_polygons_move_with_their_boxes(tmp_path: Path) -> None:
    """Turned and shrunk like everything else."""
    x1, y1, x2, y2 = RED
    row = " ".join(
        str(value) for value in (x1 / 100, y1 / 60, x2 / 100, y1 / 60, x2 / 100, y2 / 60, x1 / 100, y2 / 60)
    )
    old = put(
        tmp_path / "old",
        {
            "images/a.jpg": encoded(painted(), orientation=8),
            "labels/a.txt": f"0 {row}\n",
            "data.yaml": "names: [red]\n",
        },
    )
    run(old, tmp_path / "new", 50)
    words = (tmp_path / "new" / "labels" / "a.txt").read_text().split()
    assert len(words) == 9
    found = np.array([float(word) for word in words[1:]]).reshape(-1, 2) * (30, 50)
    edges = red(opened(tmp_path / "new" / "images" / "a.jpg"))
    assert (*found.min(axis=0), *found.max(axis=0)) == pytest.approx(edges, abs=1.01)


def coco(folder: Path, orientation: int, **more: Any) -> Path:
    """The red box of 100 x 60 as a polygon, as masks of both forms, as a crowd, and with keypoints at two corners."""
    x1, y1, x2, y2 = RED
    mask = np.zeros((60, 100), np.uint8)
    mask[y1:y2, x1:x2] = 1
    polygon = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    packed, plain = masks.encode(mask, compressed=True), masks.encode(mask, compressed=False)
    keypoints = [x1, y1, 2, x2 - 1, y2 - 1, 1, 0, 0, 0]
    parts: list[dict[str, Any]] = [
        {"segmentation": polygon, "keypoints": keypoints, "num_keypoints": 2},
        {"segmentation": packed},
        {"segmentation": plain, "iscrowd": 1},
    ]
    whole = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 60}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": 420} | part
            for n, part in enumerate(parts)
        ],
        "categories": [{"id": 1, "name": "red"}],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    png = io.BytesIO()
    painted().save(png, "PNG", exif=exif)
    return put(
        folder, {"images/a.png": png.getvalue(), "annotations/instances.json": json.dumps(whole | more)}
    )


@pytest.mark.parametrize(
    ("orientation", "max_side"), [(1, 33), (2, 100), (3, 50), (4, 33), (5, 100), (6, 50), (7, 33), (8, 100)]
)
def test_masks_polygons_and_keypoints_stay_on_their_objects(
    orientation: int, max_side: int, tmp_path: Path
) -> None:
    """pycocotools finds the red where the new picture has it, in all three forms, and as many pixels of it."""
    resize.run(
        open_source(coco(tmp_path / "old", orientation)),
        Config(),
        measurer(),
        max_side=max_side,
        out=tmp_path / "new",
        workers=1,
    )
    picture = opened(tmp_path / "new" / "images" / "a.png").convert("RGB")
    edges = red(picture)
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO(str(tmp_path / "new" / "annotations" / "instances.json"))
    polygon, packed, plain = found.loadAnns(found.getAnnIds())
    assert isinstance(packed["segmentation"]["counts"], str)
    assert isinstance(plain["segmentation"]["counts"], list)
    assert (packed["iscrowd"], plain["iscrowd"]) == (0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        seen = [found.annToMask(annotation) for annotation in (polygon, packed, plain)]
    assert np.array_equal(seen[1], seen[2])
    for annotation, mask in zip((polygon, packed, plain), seen, strict=True):
        assert mask.shape == picture.size[::-1]
        ys, xs = np.nonzero(mask)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == pytest.approx(edges, abs=1.01)
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == pytest.approx(edges, abs=1.01)
    rle = found.annToRLE(packed)
    assert packed["area"] == plain["area"] == coco_mask.area(rle) == seen[1].sum()
    assert packed["area"] == pytest.approx(420 * (max(picture.size) / 100) ** 2, rel=0.2)
    assert polygon["area"] == pytest.approx(polygon["bbox"][2] * polygon["bbox"][3], rel=1e-3)
    keypoints = np.array(polygon["keypoints"]).reshape(-1, 3)
    assert keypoints[:, 2].tolist() == [2, 1, 0]
    assert keypoints[2].tolist() == [0, 0, 0]
    corners = keypoints[:2, :2]  # of the first and the last pixel
    assert (*corners.min(axis=0), *(corners.max(axis=0) + 1)) == pytest.approx(edges, abs=1.01)
    assert polygon["num_keypoints"] == 2


def test_left_and_right_keypoints_of_mirrored_pictures_are_said(tmp_path: Path) -> None:
    """Only mirroring exchanges left and right: which keypoints that concerns nobody knows."""
    for orientation, said in ((2, True), (6, False)):
        out = tmp_path / f"new{orientation}"
        changes = run(coco(tmp_path / f"old{orientation}", orientation), out, 100)
        assert any("left and right keypoints" in sentence for sentence in changes.lost) is said


def test_lists_that_are_no_keypoints_are_left_behind_and_said(tmp_path: Path) -> None:
    """Coordinates that nobody can move would be wrong."""
    thing = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 30, 14]}
    bad = [
        thing | {"keypoints": [1, 2], "num_keypoints": 1},
        thing | {"keypoints": "x"},
        thing | {"keypoints": None},
    ]
    changes = run(coco(tmp_path / "old", 1, annotations=bad), tmp_path / "new", 50)
    whole = json.loads((tmp_path / "new/annotations/instances.json").read_text())
    assert not any("keypoints" in key for one in whole["annotations"] for key in one)
    assert any(sentence.startswith("3 lists of keypoints") for sentence in changes.lost)


@pytest.mark.parametrize(
    ("kind", "mode", "suffix"),
    [
        ("PNG", "RGB", "png"), ("PNG", "P", "png"), ("PNG", "L", "png"), ("PNG", "RGBA", "png"), ("PNG", "1", "png"),
        ("PNG", "I;16", "png"), ("JPEG", "L", "jpg"), ("JPEG", "CMYK", "jpg"), ("BMP", "RGB", "bmp"),
        ("WEBP", "RGB", "webp"), ("TIFF", "RGB", "tif"), ("GIF", "P", "gif"), ("PPM", "RGB", "ppm"),
    ],
)  # fmt: skip
def test_formats_stay_what_they_are(kind: str, mode: str, suffix: str, tmp_path: Path) -> None:
    """PNG stays PNG, and so on; what cannot be averaged gets a mode in which it can."""
    image = painted(mode="L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
    old = voc(tmp_path / "old", encoded(image, kind), name=f"a.{suffix}")
    run(old, tmp_path / "new", 50)
    made = opened(tmp_path / "new" / "JPEGImages" / f"a.{suffix}")
    assert made.format == kind
    assert made.size == (50, 30)


def test_the_colour_profile_stays_and_other_metadata_go(tmp_path: Path) -> None:
    """What colours mean is kept; an embedded EXIF would speak of the old picture."""
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    data = encoded(painted(), icc_profile=b"profile", exif=exif)
    old = voc(tmp_path / "old", data)
    run(old, tmp_path / "new", 50)
    made = opened(tmp_path / "new" / "JPEGImages" / "a.jpg")
    assert made.info["icc_profile"] == b"profile"
    assert not made.getexif()


def test_damaged_images_are_copied_as_they_are_and_said(tmp_path: Path) -> None:
    """A damaged picture would look whole afterwards; what is no picture cannot be resized."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (60, 100, 3), dtype=np.uint8))
    whole = encoded(noise)
    old = voc(tmp_path / "old", whole[: len(whole) // 2])
    put(old, {"JPEGImages/b.jpg": "no picture"})
    changes = run(old, tmp_path / "new", 50)
    assert (tmp_path / "new" / "JPEGImages" / "a.jpg").read_bytes() == whole[: len(whole) // 2]
    assert (tmp_path / "new" / "JPEGImages" / "b.jpg").read_bytes() == b"no picture"
    assert changes.lost == [
        "1 image not resized: damaged, copied as it is; trainworthy fix sets such images aside.",
        "1 image not resized: unreadable, copied as it is; trainworthy fix sets such images aside.",
    ]
    assert next(iter(content(evidence(tmp_path / "new")).values())) == [("red", *map(float, RED))]


def test_an_image_that_changes_under_way_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be read a moment ago and no more: the image is named, and nothing is left."""
    old = voc(tmp_path / "old", encoded(painted()))
    plans = resize._plans

    def damage(*args: Any) -> Any:
        (old / "JPEGImages" / "a.jpg").write_bytes(b"gone")
        return plans(*args)

    monkeypatch.setattr(resize, "_plans", damage)
    with pytest.raises(DatasetError, match=r"cannot resize JPEGImages/a\.jpg"):
        run(old, tmp_path / "new", 50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_progress_counts_every_image_that_is_written_anew(tmp_path: Path) -> None:
    """From 1 to their number."""
    old = tmp_path / "old"
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        voc(old, encoded(painted()), name=name)
    seen: list[tuple[int, int]] = []
    run(old, tmp_path / "new", 50, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_command_shows_progress_where_somebody_watches(tmp_path: Path) -> None:
    """A bar on standard error of a terminal; the summary on standard output; exit code 0."""
    voc(tmp_path / "old", encoded(painted()))
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "trainworthy_audit",
        "resize",
        "old",
        "--max-side",
        "50",
        "--out",
        "new",
        "--workers",
        "1",
        "--no-cache",
    ]
    with os.fdopen(leader, "rb", buffering=0) as screen:
        ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=follower, check=False)
        os.close(follower)
        shown = screen.read(10_000)
    assert ended.returncode == 0
    assert b"resizing" in shown
    assert ended.stdout.decode().startswith("resize: new: 1 image, 1 box, 1 class\n        1  rewritten\n")
    assert json.loads((tmp_path / "new" / "changes.json").read_text())["summary"]["rewritten"] == 1
