"""Boxes around COCO's masks: polygons and run-length encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit.formats.shared.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def number(value: Any) -> float:  # noqa: ANN401 - any json
    """The value as a float. Raises `MalformedError` where it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError("not a number")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def polygons_xywh(polygons: list[Any]) -> list[float]:
    """[x, y, width, height] around polygons [x, y, x, y, ...], in pixels. Raises `MalformedError`."""
    if not all(isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 for part in polygons):
        raise MalformedError("no bbox, and its segmentation is not a list of polygons [x, y, x, y, ...]")
    try:
        points = [number(value) for part in polygons for value in part]
    except MalformedError:
        raise MalformedError("no bbox, and its polygon holds what is not a number") from None
    x, y = np.array(points[::2]), np.array(points[1::2])
    return [float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))]


def rle_xywh(rle: dict[str, Any]) -> list[float]:
    """[x, y, width, height] around a run-length encoded mask, in pixels, compressed or not; zeros for an empty one.

    Raises `MalformedError`.
    """
    try:
        height, _width, runs = rle_runs(rle)
    except MalformedError as error:
        raise MalformedError(f"no bbox, and {error}") from None
    ends = np.cumsum(runs)
    starts, stops = ends[0::2][: ends.size // 2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled] - 1  # first and last pixel of each run, column by column
    if not starts.size:
        return [0.0, 0.0, 0.0, 0.0]
    left, right = int(starts[0] // height), int(stops[-1] // height)
    # A run that continues in the next column touches the bottom and the top.
    wraps = (starts // height != stops // height).any()
    top = 0 if wraps else int((starts % height).min())
    bottom = height - 1 if wraps else int((stops % height).max())
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def rle_runs(rle: Mapping[str, Any]) -> tuple[int, int, NDArray[np.int64]]:
    """(height, width, runs) of a run-length encoded mask: lengths of background and object in turn, by columns.

    Checked here and not left to pycocotools, whose C code a damaged mask crashes, and with it the process: the runs
    are not negative and add up to height x width. Raises `MalformedError`.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(_is_count(n) and n > 0 for n in size)):
        raise MalformedError("its RLE has no size [height, width]")
    runs = decode_counts(counts) if isinstance(counts, str) else counts
    if not (isinstance(runs, list) and all(_is_count(n) for n in runs)):
        raise MalformedError("its RLE has no counts that are numbers or text")
    height, width = size
    if not runs or sum(runs) != height * width:
        raise MalformedError("the counts of its RLE do not add up to its size")
    return height, width, np.array(runs, dtype=np.int64)


def _is_count(value: Any) -> bool:  # noqa: ANN401 - any json
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def decode_counts(counts: str) -> list[int]:
    """COCO's text form of counts: 5 bits a character, the lowest first, and the sixth where more follow.

    From the fourth count on, it is the difference from the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise MalformedError("the counts of its RLE hold a character that none can")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise MalformedError("the counts of its RLE break off")
    return runs
