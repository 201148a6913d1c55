"""Pure arithmetic on boxes: (N, 4) float arrays of edges x1, y1, x2, y2 in pixels (see `types`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) square pixels; 0 for boxes whose edges are swapped or coincide."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def pairwise_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) intersection over union of row i of `a` with row i of `b`; 0 where both are empty."""
    overlap = area(np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1))
    union = area(a) + area(b) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


#: `earliest_match` compares a box with at most this many others whose left edges nearly coincide with its
#: own. Real pictures have a few; ten thousand nearly equal boxes would take quadratic time otherwise.
NEIGHBOURS = 1000


def earliest_match(
    boxes: NDArray[np.float64],
    images: NDArray[np.int64],
    kinds: NDArray[np.int64],
    *,
    iou: float,
    same_kind: bool,
) -> NDArray[np.int64]:
    """(N,) for each box the first earlier row of its image that has (almost) the same box, or -1.

    `boxes` are (N, 4), `images` and `kinds` are (N,) whole numbers. Two boxes match when their IoU reaches
    `iou` and their kinds are equal (`same_kind`) or not equal. Take exact copies within one kind out before.
    """
    order = np.lexsort((boxes[:, 0], images))
    boxes, images, kinds = boxes[order], images[order], kinds[order]
    # With left edges d apart at most width - d of the left box is covered: IoU <= (width - d) / width.
    reach = boxes[:, 0] + (1 - iou) * (boxes[:, 2] - boxes[:, 0])
    first = np.full(len(boxes), len(boxes), dtype=np.int64)
    left = np.arange(len(boxes))
    for step in range(1, NEIGHBOURS + 1):
        left = left[: np.searchsorted(left, len(boxes) - step)]
        right = left + step
        left = left[(images[left] == images[right]) & (boxes[right, 0] <= reach[left])]
        if not left.size:
            break
        right = left + step
        found = (kinds[left] == kinds[right]) == same_kind
        found[found] = pairwise_iou(boxes[left[found]], boxes[right[found]]) >= iou
        a, b = order[left[found]], order[right[found]]
        np.minimum.at(first, np.maximum(a, b), np.minimum(a, b))
    return np.where(first < len(boxes), first, -1)
