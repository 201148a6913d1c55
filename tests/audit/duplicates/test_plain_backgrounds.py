"""Pictures that share a background are no copies for that, and true copies among them are found all the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from support.pictures import encode, photo
from trainworthy_audit.duplicates import find
from trainworthy_audit.images.measurement import measure
from trainworthy_audit.types import PIXELS

Edges = tuple[int, int, int, int]


def plate(seed: int, count: int) -> tuple[Image.Image, list[Edges]]:
    """Discs of any size anywhere on a shaded plain background, and their boxes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:240, 0:320]
    shade = 190 - 50 * (((x - 160) / 160) ** 2 + ((y - 120) / 120) ** 2)
    grey = (shade[..., None] + rng.normal(0, 2, (240, 320, 3))).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(grey)
    draw, boxes = ImageDraw.Draw(image), []
    for _ in range(count):
        r = int(rng.integers(10, 24))
        left, top = int(rng.integers(2, 318 - 2 * r)), int(rng.integers(2, 238 - 2 * r))
        boxes.append((left, top, left + 2 * r, top + 2 * r))
        draw.ellipse(boxes[-1], fill=tuple(rng.integers(20, 110, 3).tolist()))
    return image.filter(ImageFilter.GaussianBlur(0.8)), boxes


def frame(seed: int) -> tuple[Image.Image, list[Edges]]:
    """One place, with three things that are elsewhere in each frame."""
    rng = np.random.default_rng(seed)
    image = photo(7, (320, 240))
    draw, boxes = ImageDraw.Draw(image), []
    for _ in range(3):
        left, top = int(rng.integers(0, 280)), int(rng.integers(0, 200))
        boxes.append((left, top, left + 38, top + 38))
        draw.rectangle(boxes[-1], fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image, boxes


@cache
def _measured(data: bytes) -> Any:
    return measure(data)


def search(
    pictures: Sequence[Image.Image], boxes: Sequence[Sequence[Edges]] | None = None
) -> list[dict[str, Any]]:
    """The pairs among these pictures; `boxes` in pixels."""
    measured = [_measured(encode(picture, quality=92)) for picture in pictures]
    rows = [(number, *each[:-1]) for number, each in enumerate(measured)]
    stored = {each.digest: each.thumbnail for each in measured}
    shares = None
    if boxes is not None:
        shares = pl.DataFrame(
            [
                (number, x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height, str(label))
                for number, (image, own) in enumerate(zip(pictures, boxes, strict=True))
                for x1, y1, x2, y2, *label in own
            ],
            schema=["image", "x1", "y1", "x2", "y2", "label"],
            orient="row",
        )
    return find(
        pl.DataFrame(rows, schema=PIXELS, orient="row"),
        lambda digests: np.stack(
            [np.frombuffer(stored[digest] or b"", np.uint8).reshape(64, 64) for digest in digests]
        ),
        {},
        boxes=shares,
    ).to_dicts()


def test_other_objects_on_one_plain_background_are_no_copies() -> None:
    """Neither many objects nor one that can be laid on another make copies of two plates, nor one place."""
    assert search([plate(seed, 4)[0] for seed in range(30)]) == []
    single = [plate(seed, 1) for seed in range(100, 130)]
    assert search([image for image, _ in single], [boxes for _, boxes in single]) == []


def test_copies_on_a_plain_background_are_found() -> None:
    """What is done to a plate does not hide that it is a copy, though all plates look alike."""
    plates = [plate(seed, 5)[0] for seed in range(30)]
    copies = [
        ImageOps.mirror(plates[3]),
        plates[5].rotate(180),
        plates[8].resize((160, 120)),
        plates[11].point(lambda value: value * 8 // 10),
        plates[14].crop((8, 6, 312, 234)),
    ]
    found = {(pair["a"], pair["b"]): pair["relation"] for pair in search([*plates, *copies])}
    assert found == {
        (3, 30): "mirrored",
        (5, 31): "rotated 180",
        (8, 32): "resized",
        (11, 33): "darker",
        (14, 34): "cropped",
    }


def test_frames_of_a_camera_that_does_not_move_are_one_place() -> None:
    """Frames with other objects are pictures of one place, with or without boxes; a copy of one of them is a copy."""
    frames = [frame(seed) for seed in range(12)]
    pictures = [image for image, _ in frames]
    pictures.append(pictures[4].point(lambda value: value * 9 // 10))
    boxes = [own for _, own in frames]
    for given in (None, [*boxes, boxes[4]]):
        pairs = search(pictures, given)
        assert [(pair["a"], pair["b"]) for pair in pairs if pair["relation"] != "scene"] == [(4, 12)]
        assert len(pairs) == len(pictures) - 1


def board(moved: int) -> tuple[Image.Image, list[Any]]:
    """A place with twenty small pieces, of which the first `moved` lie on other squares."""
    image = photo(7, (640, 480))
    draw, boxes = ImageDraw.Draw(image), []
    for number in range(20):
        column, line = number % 5, number // 5
        left, top = 60 + 110 * column + (50 if number < moved else 0), 50 + 100 * line
        boxes.append((left, top, left + 16, top + 16, "pawn"))
        draw.ellipse(boxes[-1][:4], fill=(250, 250, 250) if number % 2 else (5, 5, 5))
    return image, boxes


def test_one_piece_that_moved_is_another_moment() -> None:
    """Under a camera that does not move, pictures are alike whatever they show: every object must be where it was."""
    frames = [board(moved) for moved in range(8)]
    pictures, boxes = [image for image, _ in frames], [own for _, own in frames]
    pictures.append(pictures[4].point(lambda value: value * 9 // 10))
    pairs = search(pictures, [*boxes, boxes[4]])
    assert [(pair["a"], pair["b"]) for pair in pairs if pair["relation"] != "scene"] == [(4, 8)]
    renamed = [(*box[:4], "queen" if number == 0 else "pawn") for number, box in enumerate(boxes[4])]
    assert {pair["relation"] for pair in search(pictures, [*boxes, renamed])} == {"scene"}


def test_boxes_decide_between_two_pictures() -> None:
    """Two pictures of one place among photographs are copies only if their objects do not lie elsewhere."""
    others = [photo(seed, (320, 240)) for seed in range(50, 60)]
    place = photo(7, (320, 240))
    here, there = [(20, 20, 38, 38)], [(280, 200, 298, 218)]
    pictures = []
    for boxes in (here, there):
        picture = place.copy()
        ImageDraw.Draw(picture).rectangle(boxes[0], fill=(250, 40, 40))
        pictures.append(picture)
    nothing: list[list[Edges]] = [[] for _ in others]
    (pair,) = search([*pictures, *others], [here, there, *nothing])
    assert pair["relation"] == "scene"
    copy = pictures[0].point(lambda value: value * 9 // 10)
    (pair,) = search([pictures[0], copy, *others], [here, here, *nothing])
    assert pair["relation"] == "darker"
