"""Whether two pictures' annotated boxes agree once one picture is laid on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Two boxes are of one object from this IoU on, as for mAP50 and in Pascal VOC.
SAME_OBJECT = 0.5

#: A box counts where the other picture shows this share of it.
_SHOWN = 0.5

EDGES = ("x1", "y1", "x2", "y2")


class BoxAgreement(NamedTuple):
    """The boxes of two pictures where both show the place: how many there are, and how many have a counterpart."""

    here: int
    there: int
    matched_here: int
    matched_there: int
    overlap: (
        float  # the median overlap (IoU) of a box with its counterpart, of the picture where that is less
    )
    side: float  # the median of the square roots of their areas, in shares of the picture's sides; 0 without boxes
    complete: bool = False  # whether every box of either has a counterpart of the same label

    @property
    def fewer(self) -> int:
        """How many boxes the picture with fewer boxes has."""
        return min(self.here, self.there)

    @property
    def elsewhere(self) -> bool:
        """Whether both have boxes, and most of either's lie elsewhere."""
        return self.fewer > 0 and 2 * self.matched_here < self.here and 2 * self.matched_there < self.there

    @property
    def differ(self) -> bool:
        """Whether both have boxes, and most of one's have no counterpart."""
        return self.fewer > 0 and (2 * self.matched_here < self.here or 2 * self.matched_there < self.there)


class Boxes:
    """The boxes of each image, in shares of its sides."""

    def __init__(self, boxes: pl.DataFrame | None) -> None:
        """`boxes` has `image`, the edges `x1, y1, x2, y2` in shares of its sides, and `label`; None without any."""
        self._images = np.zeros(0, np.int64)
        self._edges = np.zeros((0, 4))
        self._labels = np.zeros(0, np.uint32)
        if boxes is not None and boxes.height:
            boxes = boxes.sort("image")
            self._images = boxes["image"].to_numpy().astype(np.int64)
            self._edges = boxes.select(EDGES).to_numpy().astype(np.float64)
            self._labels = boxes["label"].fill_null("").rank("dense").to_numpy().astype(np.uint32)

    def __bool__(self) -> bool:
        return len(self._images) > 0

    def of(self, image: int) -> Floats:
        """(n, 4) the boxes of an image."""
        return self._edges[self._rows(image)]

    def _rows(self, image: int) -> slice:
        first, last = np.searchsorted(self._images, [image, image + 1])
        return slice(first, last)

    def agreement(self, a: int, b: int, affine: Sequence[float]) -> BoxAgreement:
        """How the boxes of images `a` and `b` agree; `affine` maps places of `b` to `a`, as in `types.PAIRS`."""
        linear = np.array(affine).reshape(2, 3)
        of_a, of_b = self.of(a), self.of(b)
        labels_a, labels_b = self._labels[self._rows(a)], self._labels[self._rows(b)]
        shown = _shown(_mapped(of_a, _inverse(linear)))
        of_a, labels_a = of_a[shown], labels_a[shown]
        of_b = _mapped(of_b, linear)
        shown = _shown(of_b)
        of_b, labels_b = of_b[shown], labels_b[shown]
        if not (len(of_a) and len(of_b)):
            return BoxAgreement(len(of_a), len(of_b), 0, 0, 0.0, 0.0)
        overlap = geometry.pairwise_iou(
            np.repeat(of_a, len(of_b), axis=0), np.tile(of_b, (len(of_a), 1))
        ).reshape(len(of_a), len(of_b))
        same = (overlap >= SAME_OBJECT) & (labels_a[:, None] == labels_b[None, :])
        side = float(np.median(np.sqrt(geometry.area(np.concatenate([of_a, of_b])))))
        return BoxAgreement(
            len(of_a),
            len(of_b),
            int((overlap.max(axis=1) >= SAME_OBJECT).sum()),
            int((overlap.max(axis=0) >= SAME_OBJECT).sum()),
            float(min(np.median(overlap.max(axis=1)), np.median(overlap.max(axis=0)))),
            side,
            bool(same.any(axis=1).all() and same.any(axis=0).all()),
        )


def _mapped(boxes: Floats, affine: Floats) -> Floats:
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]], boxes[:, [2, 1]]], axis=1)
    places = corners @ affine[:, :2].T + affine[:, 2]
    return np.concatenate([places.min(axis=1), places.max(axis=1)], axis=1)


def _shown(boxes: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) whether enough of each box lies inside the picture, 0..1."""
    shown: np.ndarray[Any, np.dtype[np.bool_]] = geometry.area(boxes.clip(0, 1)) >= _SHOWN * geometry.area(
        boxes
    )
    return shown


def _inverse(affine: Floats) -> Floats:
    linear = np.linalg.pinv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)
