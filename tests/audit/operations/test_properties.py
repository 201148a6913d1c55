"""What holds for every operation: nothing moves, the order of files means nothing, the source stays untouched."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.converting import content, converted, evidence, same
from support.helpers import measurer, put, write
from support.pictures import encode, photo
from trainworthy_audit.config import Config
from trainworthy_audit.errors import OutputError
from trainworthy_audit.operations import convert, fix, masks, merge, resize, split, writers
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

#: An operation on one dataset, (dataset, out).
Operation = Callable[[Path, Path], object]


def _configured(run: Callable[..., object], **options: Any) -> Operation:
    def operation(dataset: Path, out: Path) -> object:
        zipped = out.suffix == ".zip"
        return run(open_source(dataset), Config(), measurer(), out=out, zipped=zipped, **options)

    return operation


def _merged(dataset: Path, out: Path) -> object:
    source = open_source(dataset)
    return merge.run([source, source], [Config()] * 2, measurer(), out=out, zipped=out.suffix == ".zip")


OPERATIONS: dict[str, Operation] = {
    "convert": _configured(convert.run, to="coco"),
    "fix": _configured(fix.run, unsafe=True),
    "split": _configured(split.run, again=True),
    "resize": _configured(resize.run, max_side=60, workers=1),
    "merge": _merged,
}


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """{path: content, mode and time of last change} of every file, and of every folder without content."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        info = path.stat()
        data = path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder.parent).as_posix()] = (data, info.st_mode, info.st_mtime_ns)
    return found


def new_files(out: Path) -> dict[str, bytes]:
    """The files of a new folder or zip, without the list of changes, which names the source."""
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as made:
            return {name: made.read(name) for name in made.namelist()}
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "changes.json"
    }


# ------------------------------------------------------------------------------------------------------------
# There and back


def _png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@st.composite
def coco_datasets(draw: st.DrawFn) -> dict[str, str | bytes]:
    """The files of a small COCO dataset: boxes of a pixel and more, within their image and beyond it."""
    files: dict[str, str | bytes] = {}
    images, annotations = [], []
    for number in range(draw(st.integers(1, 4))):
        width, height = draw(st.integers(8, 5000)), draw(st.integers(8, 60))
        files[f"images/{number}.png"] = _png(width, height)
        images.append({"id": number + 1, "file_name": f"{number}.png", "width": width, "height": height})
        for _ in range(draw(st.integers(0, 4))):
            numbers = [
                round(draw(st.floats(low, high)), 3)
                for low, high in ((-5, width), (-5, height), (1, 2 * width), (1, 2 * height))
            ]
            label = draw(st.integers(1, 3))
            annotations.append(
                {"id": len(annotations), "image_id": number + 1, "category_id": label, "bbox": numbers}
            )
    categories = [{"id": n, "name": name} for n, name in enumerate(("cat", "dog & <cat>", "犬"), 1)]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    return files | {"annotations/instances.json": json.dumps(whole)}


@pytest.mark.slow
@SLOW
@given(files=coco_datasets(), chain=st.permutations(writers.names()))
def test_boxes_stay_where_they_are_through_every_chain_of_formats(
    files: dict[str, str | bytes], chain: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """To each format in any order and back to COCO: every box is where it was, to 0.01 px, with its label.

    Pascal VOC moves an edge that ends within a pixel outside the image by up to half a pixel, and says so.
    """
    home = tmp_path_factory.mktemp("chain")
    places = [home / "start", *(home / name / "new" for name in chain), home / "end"]
    put(places[0], files)
    within = 0.01
    for (here, there), name in zip(pairwise(places), [*chain, "coco"], strict=True):
        changes = converted(here, name, there)
        within += 0.5 * any("half a pixel" in sentence for sentence in changes.lost)
    same(content(evidence(places[0])), content(evidence(places[-1])), within)


@pytest.mark.parametrize("name", OPERATIONS)
def test_masks_are_carried_by_every_operation(name: str, tmp_path: Path) -> None:
    """Compressed or not, of a crowd or not: unchanged with their image, else of its new size, in their own form."""
    mask = np.zeros((60, 100), np.uint8)
    mask[10:30, 20:70] = 1
    images, annotations = [], []
    files: dict[str, str | bytes] = {}
    for number in range(6):
        files[f"images/{number}.png"] = encode(photo(number, (100, 60)), "png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 100, "height": 60})
        rle = masks.encode(mask, compressed=number % 2 == 0)
        one = {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "iscrowd": number // 3,
            "segmentation": rle,
        }
        annotations.append(one | {"bbox": [20, 10, 50, 20], "area": 1000})
    whole = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    OPERATIONS[name](
        put(tmp_path / "data", files | {"annotations/instances.json": json.dumps(whole)}), tmp_path / "new"
    )
    found = [
        annotation
        for file in (tmp_path / "new" / "annotations").iterdir()
        for annotation in json.loads(file.read_text())["annotations"]
    ]
    assert len(found) == (12 if name == "merge" else 6)
    forms = Counter((type(one["segmentation"]["counts"]), one["iscrowd"]) for one in found)
    assert forms == {
        key: len(found) // 6 * n for key, n in {(str, 0): 2, (list, 0): 1, (str, 1): 1, (list, 1): 2}.items()
    }
    for one in found:
        if name == "resize":
            small = masks.decode(one["segmentation"], (60, 36))
            assert small.sum() == one["area"] == pytest.approx(360, rel=0.1)
        else:
            assert np.array_equal(masks.decode(one["segmentation"], (100, 60)), mask)
            assert one["area"] == 1000


# ------------------------------------------------------------------------------------------------------------
# Order


PICTURES = tuple(
    Picture(
        f"p{n}.jpg",
        scene=n // 2,
        boxes=(Box("cat", 30, 30, 190, 90), Box("dog", 20, 10, 60, 60))[: n % 3],
        split=("train", "val")[n % 2],
        save={"quality": 90 - n},
    )
    for n in range(6)
)


@pytest.mark.parametrize("name", ["convert", "fix", "split", pytest.param("resize", marks=pytest.mark.slow)])
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_the_order_of_files_and_entries_changes_nothing(
    name: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A zip whose members, images and annotations stand in another order becomes the same dataset, byte for byte."""
    home = tmp_path_factory.mktemp("order")
    folder = write(Example(PICTURES, format="coco"), home / "data")
    members = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    chance = random.Random(seed)
    results = []
    for number in range(2):
        shuffled = dict(members)
        order = list(shuffled)
        if number:
            chance.shuffle(order)
            for path in order:
                if path.endswith(".json"):
                    shuffled[path] = _shuffled(shuffled[path], chance)
        (home / str(number)).mkdir()
        packed = home / str(number) / "data.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for path in order:
                archive.writestr(path, shuffled[path])
        OPERATIONS[name](packed, home / str(number) / "new")
        results.append(new_files(home / str(number) / "new"))
    assert results[0] == results[1]


def _shuffled(data: bytes, chance: random.Random) -> bytes:
    """The json with its images in another order, and the annotations of different images mixed differently."""
    whole = json.loads(data)
    chance.shuffle(whole["images"])
    by_image: dict[int, list[Any]] = {}
    for annotation in whole["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    mixed = [image for image, own in by_image.items() for _ in own]
    chance.shuffle(mixed)
    whole["annotations"] = [by_image[image].pop(0) for image in mixed]
    return json.dumps(whole).encode()


# ------------------------------------------------------------------------------------------------------------
# The source


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "darknet"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_source_is_never_touched(name: str, kind: str, tmp_path: Path) -> None:
    """Bytes, modes, times and names stay, whether the operation succeeds or the target is refused."""
    folder = write(Example(PICTURES, format=kind), tmp_path / "data")
    before = files(folder)
    OPERATIONS[name](folder, tmp_path / "new")
    assert files(folder) == before
    with pytest.raises(OutputError):
        OPERATIONS[name](folder, tmp_path / "new")
    with pytest.raises(OutputError):
        OPERATIONS[name](folder, folder / "new")
    assert files(folder) == before


def test_a_copy_shares_no_name_with_its_source(tmp_path: Path) -> None:
    """Editing the new dataset does not change the old one: nothing is linked."""
    folder = write(Example(PICTURES, format="voc"), tmp_path / "data")
    before = files(folder)
    OPERATIONS["split"](folder, tmp_path / "new")
    for path in (tmp_path / "new").rglob("*"):
        if path.is_file():
            assert path.stat().st_nlink == 1
            path.write_bytes(b"edited")
    assert files(folder) == before
