from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from support.pictures import photo
from trainworthy_audit.images.letterbox import content_box, may_have_bars


def grey(image: Image.Image) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(image.convert("L"))


@pytest.mark.parametrize("shade", ["black", "white", "#727272"])
def test_bars_are_found_on_two_sides_and_on_four(shade: str) -> None:
    """What bars leave begins where they end, but for the line that decoders mix."""
    wide = ImageOps.pad(photo(1, (160, 90)), (160, 160), color=shade)
    assert content_box(grey(wide)) == pytest.approx((0, 35, 160, 125), abs=1.1)
    framed = ImageOps.expand(photo(2, (120, 120)), (20, 10), fill=shade)
    assert content_box(grey(framed)) == pytest.approx((20, 10, 140, 130), abs=1.1)


def test_pictures_without_bars_have_none() -> None:
    """Neither photographs, nor plain pictures, of which nothing would be left, nor hair lines."""
    assert all(content_box(grey(photo(seed, (160, 120)))) is None for seed in range(20))
    assert content_box(np.full((90, 160), 40, np.uint8)) is None
    assert content_box(grey(ImageOps.expand(photo(3, (160, 120)), (0, 1), fill="black"))) is None


def test_only_pictures_with_a_plain_edge_are_suspected() -> None:
    """A quick look at the outermost lines tells which need a closer one."""
    pictures = [photo(1, (64, 64)), ImageOps.pad(photo(1, (64, 36)), (64, 64))]
    assert may_have_bars(np.stack([grey(each) for each in pictures])).tolist() == [False, True]
