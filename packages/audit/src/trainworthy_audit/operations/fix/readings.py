"""Boxes whose frame of reference is in doubt: which reading of their numbers fits, and what is done about them.

A box is in doubt where its image has another size than declared (I004) or is turned by EXIF (I005), or where so many
boxes reach outside that the numbers probably mean something else. None is changed, unless the user names the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit import dihedral, formats
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.meanings import READINGS
from trainworthy_audit.operations.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from trainworthy_audit.operations.fix.state import RepairState
    from trainworthy_audit.types import Evidence

#: A reading fits if no smaller a share of the boxes lies inside their images.
FITS = 0.95

#: More than this share of boxes outside, and at least so many of them, means that their numbers are in doubt ...
MOST_OUTSIDE, SEVERAL = 0.1, 3

#: ... and so does this share of at least two, where another reading fits all.
MANY_OUTSIDE = 0.4

#: How far an edge may lie outside an image and count as inside: pixels, or a share of the side if that is more.
MARGIN, MARGIN_SHARE = 1.0, 0.005

#: In a file of which no smaller a share of the rows holds too large numbers, all rows are of one kind.
ALL_ROWS = 0.9

_SIDE = {"x": "image_width", "y": "image_height"}


class _Doubt(NamedTuple):
    """Boxes that may mean something else, all of them in the same way."""

    rule: str  # the code of the rule that found it
    why: str  # a clause: what was seen
    rows: frozenset[int]  # the boxes, by `row`
    fitting: Mapping[str, int]  # {reading: how many of the boxes lie inside under it}, the best first
    boxes: Mapping[str, NDArray[np.float64]]  # {reading: (n, 4) edges in pixels of `rows`, sorted}
    placements: Mapping[
        str, Mapping[int, Placement]
    ]  # {reading: {image: how its boxes move}}, of "turned" and "scaled"
    settled: bool = False  # one reading fits and no other: pixels where fractions belong

    @property
    def best(self) -> str | None:
        """The reading that fits better than all others; None where there is no such one."""
        ranked = list(self.fitting.items())
        if not ranked or ranked[0][1] < FITS * len(self.rows):
            return None
        return ranked[0][0] if len(ranked) == 1 or ranked[1][1] < ranked[0][1] else None


def settle(state: RepairState, *, reading: str | None = None, unsafe: bool = False) -> None:
    """Find the boxes that are in doubt, and keep every repair away from them (`state.doubtful`).

    Those that `reading` fits become what it says; with `unsafe` each one takes the reading that fits best.
    """
    used = False
    for doubt in _doubts(state.evidence, state):
        chosen = reading if reading is not None and reading in doubt.fitting else None
        if chosen is not None and doubt.fitting[chosen] < FITS * len(doubt.rows):
            state.changes.notes.append(
                f"{_seen(doubt)} --reading {chosen} does not fit them: {_fits(doubt, chosen)}."
            )
            chosen = None
        if chosen is None and reading is None and unsafe and not doubt.settled:
            chosen = doubt.best
        if doubt.settled and chosen is None:
            continue
        if chosen is None:
            _leave(state, doubt)
        else:
            used = True
            _take(state, doubt, chosen)
    if reading is not None and not used:
        state.changes.notes.append(
            f"--reading {reading} changed nothing: no box that is in doubt can be read so."
        )


# ------------------------------------------------------------------------------------------------------------
# What is done


def _leave(state: RepairState, doubt: _Doubt) -> None:
    """Carry the boxes as they stand, and say which reading fits."""
    state.doubtful |= doubt.rows
    boxes = state.evidence.boxes
    too_large = pl.col("row").is_in(list(doubt.rows)) & pl.col("unit_error")
    as_written = {
        edge: pl.when(too_large).then(pl.col(f"f{edge}") * pl.col(_SIDE[edge[0]])).otherwise(edge)
        for edge in EDGES
    }
    state.set_boxes(
        boxes.with_columns(
            *(value.alias(edge) for edge, value in as_written.items()),
            *(
                pl.when(too_large).then(value).otherwise(f"from_{edge}").alias(f"from_{edge}")
                for edge, value in as_written.items()
            ),
            (pl.col("unit_error") & ~too_large).alias("unit_error"),
        )
    )
    fitting = [name for name, inside in doubt.fitting.items() if inside >= FITS * len(doubt.rows)]
    if not fitting:
        outcome = "No other reading fits"
        if doubt.fitting:
            name = next(iter(doubt.fitting))
            outcome += f"; the best, {_fits(doubt, name)}"
    else:
        outcome = "; ".join(f"{_fits(doubt, name)} (--reading {name})" for name in fitting)
        outcome = outcome[0].upper() + outcome[1:]
        state.readings_that_fit.update(fitting)
    state.changes.notes.append(f"{_seen(doubt)} None of them was changed. {outcome}.")


def _take(state: RepairState, doubt: _Doubt, reading: str) -> None:
    """Give the boxes the edges that they have under a reading; those that lie outside all the same are left alone."""
    new = pl.DataFrame(
        {
            "row": sorted(doubt.rows),
            **{f"new_{edge}": doubt.boxes[reading][:, at] for at, edge in enumerate(EDGES)},
        },
        schema_overrides={"row": pl.UInt32},
    )
    boxes = state.evidence.boxes.join(new, on="row", how="left", maintain_order="left")
    read = pl.col("new_x1").is_not_null()
    changed = boxes.filter(read).with_columns(pl.lit(doubt.why).alias("message"))
    after = changed.select("label", *(f"new_{edge}" for edge in EDGES)).rows()
    state.record_boxes(f"read as {reading}", doubt.rule, changed, [list(row) for row in after])
    placed = doubt.placements.get(reading, {})
    state.placements.update(placed)
    state.resized.update(placed)
    outside = boxes.filter(read).filter(~_inside({edge: pl.col(f"new_{edge}") for edge in EDGES}))
    state.doubtful |= set(outside["row"])
    # Where the whole image moves, its polygons move with it from where they were; else the box alone was misread.
    from_edges = {
        edge: pl.when(read & ~pl.col("image").is_in(list(placed)))
        .then(f"new_{edge}")
        .otherwise(f"from_{edge}")
        for edge in EDGES
    }
    upright = _drawn_edges(boxes, placed, fractions=state.evidence.dataset.fractions)
    state.set_boxes(
        boxes.with_columns(
            *(pl.coalesce(f"new_{edge}", edge).alias(edge) for edge in EDGES),
            *(value.alias(f"from_{edge}") for edge, value in from_edges.items()),
            (pl.col("unit_error") & ~read).alias("unit_error"),
        )
        .with_columns(*(upright[edge].alias(f"from_{edge}") for edge in EDGES if upright))
        .drop(f"new_{edge}" for edge in EDGES)
    )


def _drawn_edges(
    boxes: pl.DataFrame, placed: Mapping[int, Placement], *, fractions: bool
) -> dict[str, pl.Series]:
    """`from_*` of fractions of an upright picture in its pixels; {} where edges were read as pixels."""
    if not placed or not fractions:
        return {}
    images = boxes["image"].to_list()
    columns = {}
    for edge in EDGES:
        side = "xy".index(edge[0])
        columns[edge] = pl.Series(
            edge,
            [
                fraction * placed[image].before[side] if image in placed and fraction is not None else before
                for image, fraction, before in zip(
                    images, boxes[f"f{edge}"], boxes[f"from_{edge}"], strict=True
                )
            ],
            dtype=pl.Float64,
        )
    return columns


def _seen(doubt: _Doubt) -> str:
    return f"{doubt.rule} left for a person: {doubt.why}."


def _fits(doubt: _Doubt, reading: str) -> str:
    return f"read as {READINGS[reading]}, {doubt.fitting[reading]:,} of {len(doubt.rows):,} boxes lie inside"


# ------------------------------------------------------------------------------------------------------------
# Where there is a doubt


def _doubts(evidence: Evidence, state: RepairState) -> Iterator[_Doubt]:
    boxes = evidence.boxes.filter("finite", pl.col("image").is_not_null()).sort("row")
    frames = _frames(state)
    yield from _of_images(boxes, frames, state)
    moved = [*frames.turned, *frames.scaled, *frames.other]
    boxes = boxes.filter(~pl.col("image").is_in(moved))
    yield from _too_large(evidence, boxes)
    boxes = boxes.filter(~pl.col("unit_error"))
    yield from _outside(evidence, boxes)


class _Frames(NamedTuple):
    """Images on which boxes may have been drawn in another frame than that of the stored pixels."""

    turned: dict[int, Placement]  # {image: from the upright picture to the stored one}
    scaled: dict[int, Placement]  # {image: from the declared size to the stored one}
    other: set[int]  # of another size than declared, in no way that a reading mends
    mismatch: set[int]  # those that I004 finds


def _of_images(boxes: pl.DataFrame, frames: _Frames, state: RepairState) -> Iterator[_Doubt]:
    """Boxes on images of another size than declared, and on images that EXIF turns; no repair may change them."""
    fractions = state.evidence.dataset.fractions
    for name, placements, what in (
        ("turned", frames.turned, "on images that EXIF turns"),
        ("scaled", frames.scaled, "on images of another size than declared"),
    ):
        own = boxes.filter(pl.col("image").is_in(list(placements)))
        if own.is_empty():
            continue
        state.doubtful |= set(own["row"])
        as_stored = own.filter(_inside({edge: pl.col(edge) for edge in EDGES})).height
        edges, inside = _placed(own, placements, fractions=fractions)
        declares = not frames.mismatch.isdisjoint(placements)
        yield _Doubt(
            rule="I004" if declares else "I005",
            why=f"{as_stored:,} of {own.height:,} boxes {what} lie inside the stored pixels",
            rows=frozenset(own["row"]),
            fitting={name: inside},
            boxes={name: edges},
            placements={name: placements},
            # Boxes that lie inside as they are, and of which no declared size says otherwise, are probably right.
            settled=as_stored == own.height and not declares,
        )
    state.doubtful |= set(boxes.filter(pl.col("image").is_in(list(frames.other)))["row"])


def _frames(state: RepairState) -> _Frames:
    frames = _Frames({}, {}, set(), {image for image, _ in state.image_findings("I004", always=True)})
    columns = ("image", "width", "height", "orientation", "declared_width", "declared_height")
    sized = state.evidence.images.select(columns).drop_nulls(["width", "height"])
    for image, width, height, orientation, *sides in sized.iter_rows():
        stored, declared = (width, height), _size(*sides)
        turn = dihedral.from_exif(orientation) if orientation in range(2, 9) else 0
        upright = dihedral.turn_size(turn, *stored)
        if turn and (declared in {None, upright} or image in frames.mismatch):
            inverse = dihedral.to_exif(dihedral.inverse(turn))
            frames.turned[image] = Placement(inverse, upright, stored)
        elif image in frames.mismatch and declared == stored[::-1]:
            frames.other.add(image)
        elif image in frames.mismatch and declared is not None:
            frames.scaled[image] = Placement(1, declared, stored)
    return frames


def _size(width: float | None, height: float | None) -> tuple[int, int] | None:
    """A declared size in whole pixels; None where there is none that makes sense."""
    if width is None or height is None or not all(1 <= side < 2**31 for side in (width, height)):
        return None
    return round(width), round(height)


def _placed(
    boxes: pl.DataFrame, placements: Mapping[int, Placement], *, fractions: bool
) -> tuple[NDArray[np.float64], int]:
    """(n, 4) edges on the stored pixels of boxes drawn elsewhere, and how many of them lie inside."""
    columns = [f"f{edge}" if fractions else edge for edge in EDGES]
    edges = boxes.select(columns).to_numpy().astype(np.float64)
    images = boxes["image"].to_numpy()
    inside = 0
    for image, placement in placements.items():
        at = images == image
        drawn = edges[at] * np.tile(placement.before, 2) if fractions else edges[at]
        edges[at] = placement.boxes(drawn)
        inside += int(_inside_of(edges[at], np.array(placement.after, dtype=np.float64)).sum())
    return edges, inside


def _too_large(evidence: Evidence, boxes: pl.DataFrame) -> Iterator[_Doubt]:
    """Numbers too large for fractions (B008): pixels, corners in pixels, or per cent."""
    files = boxes.filter("unit_error")["annotation"].unique()
    if files.is_empty():
        return
    own = boxes.filter(pl.col("annotation").is_in(files.implode()))
    wrong = own["unit_error"].sum()
    if wrong < ALL_ROWS * own.height:
        own = own.filter("unit_error")
    count = own.height
    fitting = _ranked(own, _rereadings(own, evidence, pixels=True))
    pixels = fitting.get("pixels", (0, None))[0]
    others = max((inside for name, (inside, _) in fitting.items() if name != "pixels"), default=0)
    certain = pixels >= FITS * count and others < pixels
    yield _Doubt(
        "B008",
        f"{wrong:,} rows hold numbers too large for fractions of the image, in {len(files):,} files",
        frozenset(own["row"]),
        {name: inside for name, (inside, _) in fitting.items()},
        {name: edges for name, (_, edges) in fitting.items()},
        {},
        settled=certain,
    )


def _outside(evidence: Evidence, boxes: pl.DataFrame) -> Iterator[_Doubt]:
    """Groups of boxes of which too many reach outside: the dataset, a file for many images, a file of many boxes."""
    per_file = formats.load(evidence.dataset.format).one_file_for_many_images
    bad = ~_inside({edge: pl.col(edge) for edge in EDGES})
    boxes = boxes.with_columns(bad.alias("bad"))
    for name, group in _groups(boxes, evidence, per_file=per_file):
        count = int(group["bad"].sum())
        where = f"of {name} reach" if name else "reach"
        fitting = _ranked(group, _rereadings(group, evidence))
        yield _Doubt(
            "B001",
            f"{count:,} of {group.height:,} boxes {where} outside their images, or have corners in the wrong order",
            frozenset(group["row"]),
            {each: inside for each, (inside, _) in fitting.items() if inside > group.height - count},
            {each: edges for each, (_, edges) in fitting.items()},
            {},
        )


def _groups(boxes: pl.DataFrame, evidence: Evidence, *, per_file: bool) -> Iterator[tuple[str, pl.DataFrame]]:
    """(file, its boxes) of files that are in doubt; ("", all boxes) where the dataset is as a whole."""
    several = _several(int(boxes["bad"].sum()), boxes.height)
    as_whole = not per_file or _best(boxes, evidence) >= FITS * boxes.height
    if as_whole and (several or _misread(boxes, evidence)):
        yield "", boxes
        return
    counts = boxes.group_by("annotation", maintain_order=True).agg(pl.col("bad").sum(), pl.len())
    for annotation, bad, count in counts.filter(pl.col("bad") > 0).iter_rows():
        own = boxes.filter(pl.col("annotation") == annotation)
        if _several(bad, count) or (per_file and (several or _misread(own, evidence))):
            yield annotation, own


def _several(bad: int, count: int) -> bool:
    return bad >= SEVERAL and bad > MOST_OUTSIDE * count


def _misread(boxes: pl.DataFrame, evidence: Evidence) -> bool:
    """Whether few boxes are bad, but a large share of them, and another reading fits all."""
    bad = int(boxes["bad"].sum())
    return bad >= 2 and bad >= MANY_OUTSIDE * boxes.height and _best(boxes, evidence) == boxes.height


def _best(boxes: pl.DataFrame, evidence: Evidence) -> int:
    """How many boxes lie inside under the reading that fits best."""
    return max((inside for inside, _ in _ranked(boxes, _rereadings(boxes, evidence)).values()), default=0)


# ------------------------------------------------------------------------------------------------------------
# Other readings of the same numbers


def _rereadings(
    boxes: pl.DataFrame, evidence: Evidence, *, pixels: bool = False
) -> dict[str, NDArray[np.float64]]:
    """{reading: (n, 4) edges in pixels}, other than what the format says. `pixels`: numbers too large for fractions."""
    numbers = formats.load(evidence.dataset.format).numbers
    sides = np.tile(boxes.select("image_width", "image_height").to_numpy().astype(np.float64), 2)
    if numbers == "centre":
        edges = boxes.select(f"f{edge}" for edge in EDGES).to_numpy().astype(np.float64)
        centre, size = (edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]
        written = np.concatenate([centre, size], axis=1)
        polygons = (boxes["shape"] == "polygon").to_numpy()[:, None]
        corners = np.where(polygons, edges, written)
        if pixels:
            return {"percent": edges * sides / 100, "pixels": edges} | (
                {} if polygons.all() else {"corners": corners}
            )
        return {} if polygons.any() else {"corners": corners * sides}
    edges = boxes.select(EDGES).to_numpy().astype(np.float64)
    if numbers == "sizes":
        if (boxes["shape"] != "box").any():
            return {}
        return {"corners": np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1)}
    return {"sizes": np.concatenate([edges[:, :2], edges[:, :2] + edges[:, 2:]], axis=1)}


def _ranked(
    boxes: pl.DataFrame, readings: Mapping[str, NDArray[np.float64]]
) -> dict[str, tuple[int, NDArray[np.float64]]]:
    """{reading: (how many boxes lie inside, their edges)}, the best first."""
    sides = boxes.select("image_width", "image_height").to_numpy().astype(np.float64)
    found = {name: (int(_inside_of(edges, sides).sum()), edges) for name, edges in readings.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _inside_of(edges: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether each box has extent and lies inside an image of these sides, (2,) or (n, 2)."""
    margin = np.maximum(MARGIN, MARGIN_SHARE * sides)
    low, high = edges[:, :2], edges[:, 2:]
    within: NDArray[np.bool_] = (high > low) & (low >= -margin) & (high <= sides + margin)
    return within[:, 0] & within[:, 1]


def _inside(edges: Mapping[str, pl.Expr]) -> pl.Expr:
    """The same for columns; a line has its corners in order, too."""
    within = [
        (edges[f"{axis}1"] >= -_margin(side)) & (edges[f"{axis}2"] <= pl.col(side) + _margin(side))
        for axis, side in _SIDE.items()
    ]
    ordered = [edges[f"{axis}2"] >= edges[f"{axis}1"] for axis in _SIDE]
    return pl.all_horizontal(*within, *ordered).fill_null(value=True)


def _margin(side: str) -> pl.Expr:
    return pl.max_horizontal(pl.lit(MARGIN), pl.col(side) * MARGIN_SHARE)
