"""Perceptual hashes are those of imagehash, for every flip and turn."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pictures import encode, photo
from trainworthy_audit.dihedral import turn_image
from trainworthy_audit.images.measurement import measure
from trainworthy_audit.images.phash import hash_squares


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_hashes_are_those_of_imagehash_for_every_flip_and_rotation(seed: int) -> None:
    """Bit for bit what `imagehash.phash` says of the same 32 x 32 pixels, turned by Pillow."""
    square = photo(seed, (32, 32)).convert("L")
    turned = [turn_image(square, turn) for turn in range(8)]
    assert hash_squares(np.asarray(square)[None])[0].tolist() == [
        int(str(imagehash.phash(image)), 16) for image in turned
    ]


@pytest.mark.parametrize("number", range(8))
def test_turned_file_has_the_hash_that_the_original_foretells(number: int) -> None:
    """The n-th hash of an image is, within few bits, the first of a file that holds it turned so."""
    image = photo(5, (640, 640))
    foretold = (measure(encode(image)).hashes or ())[number]
    found = (measure(encode(turn_image(image, number))).hashes or ())[0]
    assert (foretold ^ found).bit_count() <= 4


def test_hash_survives_recompression_and_resizing() -> None:
    """A smaller, recompressed copy is within the distance that makes a near-duplicate."""
    plain = measure(encode(photo(0, (1280, 960)), quality=95)).hashes or ()
    small = measure(encode(photo(0, (1280, 960)).resize((400, 300)), quality=40)).hashes or ()
    assert (plain[0] ^ small[0]).bit_count() <= 8
