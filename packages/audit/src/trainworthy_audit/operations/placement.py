"""How an image was turned upright and resized on its way, and where its boxes, points and masks are then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_audit import dihedral

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Placement:
    """The affine map from the pixels of an image as stored to those that are written.

    `orientation` is the EXIF orientation that was applied, 1 for none; `before` and `after` are width and height in
    pixels.
    """

    orientation: int
    before: Size
    after: Size

    @property
    def unchanged(self) -> bool:
        """Whether every pixel stays where it is; so it is where no size is known."""
        return self.orientation == 1 and self.before == self.after

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged, as no turn of the camera does."""
        return self.orientation in {2, 4, 5, 7}

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) points x, y where the written image shows them."""
        if self.unchanged:  # also where no size is known
            return points
        turned = dihedral.turn_points(points, self._turn, *map(float, self.before))
        return np.asarray(turned * self._scale)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for points that count pixels from 0: (0, 0) is the middle of the first one."""
        return self.points(points + 0.5) - 0.5

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 4) boxes x1, y1, x2, y2 where the written image shows them."""
        if self.unchanged:
            return boxes
        turned = dihedral.turn_boxes(boxes, self._turn, *map(float, self.before))
        return np.asarray(turned * np.tile(self._scale, 2))

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width) mask, 0 or 1, as the written image has it: each pixel is the one in which its middle was."""
        turned = dihedral.turn_array(mask, self._turn)
        rows, columns = (
            (2 * np.arange(new) + 1) * old // (2 * new)
            for new, old in zip(self.after[::-1], turned.shape, strict=True)
        )
        return np.ascontiguousarray(turned[np.ix_(rows, columns)])

    @property
    def _turn(self) -> dihedral.Turn:
        return dihedral.from_exif(self.orientation)

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array(self.after) / dihedral.turn_size(self._turn, *self.before)
