"""Which images are copies of one another: byte for byte, by their pixels, or nearly, flips, turns and crops too.

Candidates come quickly: hashes that differ in few bits, and landmarks that lie alike. Then the small pictures
themselves are laid on one another, and decide. Chains count as one group, so the frames of a slow camera may
all be one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import alignment, keypoints
from trainworthy_audit.duplicates.hamming import LOT, Pairs, candidates
from trainworthy_audit.duplicates.relation import Side, name, whole
from trainworthy_audit.images.keypoints import SIDE, unpack
from trainworthy_audit.types import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trainworthy_audit.duplicates.hamming import Spread

    Thumbnails = np.ndarray[Any, np.dtype[np.uint8]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: How many bits of the 64 may differ. Recompressed, resized, darkened and flipped copies stay within; of
#: 38,219 pairs of unrelated photographs none did.
DISTANCE = 8

#: The least correlation of two thumbnails that show the same.
SIMILARITY = 0.8

#: Images with less contrast (standard deviation of the luma, 0..1) have hashes that are rounding noise: they
#: are duplicates of one another only if their pixels are equal.
FLAT_CONTRAST = 0.02

#: Of two pictures that only their landmarks make alike, this share must agree block by block, and of the smaller
#: one this share must be in the other: frames of a camera that swings on show less of one another.
AGREEING = 0.6
COVERED = 0.8

#: An image is laid on at most this many others because of landmarks: those with which it has the most in common.
_MOST_LIKE = 32

#: Pairs whose thumbnails are compared at once, 32 KB each, and laid on one another at once.
_AT_ONCE = 1_024
_ALIGNED_AT_ONCE = 64


class _Edge(NamedTuple):
    a: int
    b: int
    relation: str
    distance: int
    similarity: float | None = None
    detail: str | None = None
    map: list[float] | None = None


class _Groups:
    """Which images are connected so far (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def find(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = int(parent[member])
        return member

    def join(self, a: int, b: int) -> bool:
        """Connect two; False if they were connected already."""
        first, second = sorted((self.find(a), self.find(b)))
        self._parent[second] = first
        return first != second

    def labels(self) -> Numbers:
        """For each image the first member of its group."""
        parent = self._parent
        while True:
            above = parent[parent]
            if (above == parent).all():
                return parent
            parent = self._parent = above


def find(
    pixels: pl.DataFrame,
    thumbnails: Callable[[Sequence[str]], Thumbnails],
    options: Mapping[str, Any],
    spread: Spread | None = None,
) -> pl.DataFrame:
    """Return `PAIRS`: for each group of n images n - 1 pairs that connect them.

    Damaged images may be duplicates; unreadable ones and those that were not decoded never are. `options` are
    "distance" (bits, 0..64) and "similarity" (-1..1). `spread`: see `hamming.candidates`.
    """
    seen = pixels.filter(pl.col("status").is_in(["ok", "damaged"]))
    groups = _Groups(int(pixels["image"].cast(pl.Int64).to_numpy().max(initial=-1)) + 1)
    edges = [*_equal(seen, "digest", "exact", groups)]
    seen = seen.unique("digest", keep="first", maintain_order=True)
    edges += _equal(seen, "pixel_digest", "same pixels", groups)
    seen = seen.unique("pixel_digest", keep="first", maintain_order=True).filter(
        pl.col("contrast") >= FLAT_CONTRAST
    )
    if seen.height > 1:
        distance, similarity = options.get("distance", DISTANCE), options.get("similarity", SIMILARITY)
        edges += _Search(seen, thumbnails, groups, similarity).edges(int(distance), spread)
    return _frame(edges, groups)


def _equal(seen: pl.DataFrame, column: str, relation: str, groups: _Groups) -> Iterator[_Edge]:
    """Each image but the first that shares its value with others, paired with the first."""
    same = seen.select("image", first=pl.col("image").first().over(column)).filter(
        pl.col("image") != pl.col("first")
    )
    for image, first in same.iter_rows():
        groups.join(first, image)
        yield _Edge(first, image, relation, 0)


def _frame(edges: Sequence[_Edge], groups: _Groups) -> pl.DataFrame:
    roots = groups.labels()[[edge.a for edge in edges]] if edges else np.zeros(0, np.int64)
    columns = {name: kind for name, kind in PAIRS.items() if name != "group"}
    table = pl.DataFrame(edges, schema=columns, orient="row")
    return (
        table.with_columns(group=pl.Series(roots).rank("dense").cast(pl.UInt32) - 1)
        .select(PAIRS.names())
        .cast(PAIRS)
        .sort("group", "a", "b")
    )


# -----------------------------------------------------------------------------------------------------------
# Near-duplicates


class _Laid(NamedTuple):
    """Pairs of rows, `a` turned by `turn`, and how `b` lies in it; `fit` has the same rows."""

    a: Numbers
    b: Numbers
    turn: Numbers
    bits: Numbers
    lies: Floats  # (n, 2, 3): a place in b's thumbnail to one in a's

    def rows(self, which: Any) -> _Laid:  # noqa: ANN401 - a slice, a mask or an index array
        return _Laid(*(column[which] for column in self))


class _Search:
    """The near-duplicates among the rows of `seen`, which are all different."""

    def __init__(
        self,
        seen: pl.DataFrame,
        thumbnails: Callable[[Sequence[str]], Thumbnails],
        groups: _Groups,
        similarity: float,
    ) -> None:
        self._images = seen["image"].to_numpy().astype(np.int64)
        self._digests = seen["digest"].to_list()
        self._sizes = seen.select("width", "height", "brightness").rows()
        self._hashes = seen["hashes"].to_numpy().astype(np.uint64).reshape(-1, 8)
        self._boxes, self._inner, self._keypoints = unpack(seen["keypoints"].to_list())
        self._thumbnails = thumbnails
        self._groups = groups
        self._similarity = similarity
        self._found: list[tuple[_Laid, Floats]] = []

    def edges(self, distance: int, spread: Spread | None) -> list[_Edge]:
        """Edges between images that look alike, closest first; none between images that are connected already."""
        self._by_hash(distance, spread)
        self._by_landmarks()
        return [edge for laid, similarity in self._found for edge in self._named(laid, similarity)]

    # -------------------------------------------------------------------------------------------------------
    # Two ways to candidates

    def _by_hash(self, distance: int, spread: Spread | None) -> None:
        # Where bars stand around a picture, what they leave is searched for too, as a row of its own.
        barred = np.flatnonzero((self._inner != self._hashes).any(axis=1))
        hashes = np.concatenate([self._hashes, self._inner[barred]])
        row_of = np.concatenate([np.arange(len(self._hashes)), barred])
        whole = np.zeros((len(hashes), 4), np.float32)
        whole[:, 2:] = 1
        frames = np.concatenate([whole[: len(self._hashes)], self._boxes[barred]])

        def connect(pairs: Pairs) -> None:
            for start in range(0, len(pairs.a), _AT_ONCE):
                part = pairs.rows(slice(start, start + _AT_ONCE))
                a, b = row_of[part.a], row_of[part.b]
                apart = self._apart(a, b)
                part, a, b = part.rows(apart), a[apart], b[apart]
                lies = self._guessed(a, b, part.turn, frames[part.a], frames[part.b])
                self._compare(_Laid(a, b, part.turn, part.bits, lies))

        # Images of one and the same hash, however many: each with the first of them, so that only those remain to
        # be searched which it did not recognise.
        _, leader, which = np.unique(hashes[:, 0], return_index=True, return_inverse=True)
        leader = leader[which]
        same = np.flatnonzero(leader != np.arange(len(hashes)))
        nothing = np.zeros(len(same), np.int64)
        connect(Pairs(leader[same], same, nothing, nothing))
        labels = self._groups.labels()[self._images[row_of]]
        rest = np.flatnonzero((leader == np.arange(len(hashes))) | (labels != labels[leader]))
        for lot in _gathered(candidates(hashes[rest], distance, spread)):
            connect(Pairs(rest[lot.a], rest[lot.b], lot.turn, lot.bits).sorted())

    def _by_landmarks(self) -> None:
        """Only one image of each group is looked for: what is a crop of another one is a crop of this one too."""
        labels = self._groups.labels()
        _, rows = np.unique(labels[self._images], return_index=True)
        for matches in keypoints.match([self._keypoints[row] for row in rows]):
            order = np.argsort(-matches.votes, kind="stable")
            lot = matches.rows(order[_among_first(matches.a[order], matches.b[order])])
            a, b = rows[lot.a], rows[lot.b]
            bits = np.bitwise_count(self._hashes[a, lot.turn] ^ self._hashes[b, 0]).astype(np.int64)
            laid = _Laid(a, b, lot.turn, bits, alignment.straight(lot.scale, lot.offset))
            for start in range(0, len(a), _ALIGNED_AT_ONCE):
                part = laid.rows(slice(start, start + _ALIGNED_AT_ONCE))
                part = part.rows(self._apart(part.a, part.b))
                if len(part.a):
                    better, fit = self._align(part)
                    good = (fit.agreeing >= AGREEING) & (fit.covered >= COVERED)
                    self._accept(better, np.where(good, fit.similarity, -2))

    # -------------------------------------------------------------------------------------------------------
    # A second look at the pixels

    def _compare(self, laid: _Laid) -> None:
        """As they lie at first sight; then those that do not agree, and are still unconnected, laid exactly."""
        if not len(laid.a):
            return
        straight = (np.abs(laid.lies - np.eye(2, 3)) < 1e-3).all(axis=(1, 2))
        plain = np.full(len(laid.a), -2, np.float32)
        plain[straight] = self._correlation(laid.rows(straight))
        self._accept(laid, plain)
        rest = laid.rows((plain < self._similarity) & self._apart(laid.a, laid.b))
        for start in range(0, len(rest.a), _ALIGNED_AT_ONCE):
            part = rest.rows(slice(start, start + _ALIGNED_AT_ONCE))
            better, fit = self._align(part)
            good = (fit.agreeing >= AGREEING) & (fit.covered >= COVERED)
            self._accept(better, np.where(good, fit.similarity, -2))

    def _accept(self, laid: _Laid, similarity: Floats) -> None:
        """Connect those that agree, and remember what connected them."""
        kept = [
            row
            for row in np.flatnonzero(similarity >= self._similarity)
            if self._groups.join(int(self._images[laid.a[row]]), int(self._images[laid.b[row]]))
        ]
        if kept:
            self._found.append((laid.rows(np.array(kept)), similarity[kept]))

    def _apart(self, a: Numbers, b: Numbers) -> np.ndarray[Any, np.dtype[np.bool_]]:
        labels = self._groups.labels()
        apart: np.ndarray[Any, np.dtype[np.bool_]] = labels[self._images[a]] != labels[self._images[b]]
        return apart

    def _pictures(self, laid: _Laid) -> tuple[Thumbnails, Thumbnails]:
        """The thumbnails of `a`, turned, and of `b`."""
        wanted, places = np.unique(np.concatenate([laid.a, laid.b]), return_inverse=True)
        small = self._thumbnails([self._digests[index] for index in wanted])
        left, right = small[places[: len(laid.a)]], small[places[len(laid.a) :]]
        for turn in np.unique(laid.turn):
            rows = np.flatnonzero(laid.turn == turn)
            left[rows] = dihedral.turn_array(left[rows], turn, axes=(1, 2))
        return left, right

    def _correlation(self, laid: _Laid) -> Floats:
        """(n,) the correlation of the thumbnails, with `a`'s flipped or rotated as its hash was."""
        normal = []
        for pictures in self._pictures(laid):
            values = pictures.astype(np.float32)
            values -= values.mean(axis=(1, 2), keepdims=True)
            values /= np.maximum(np.sqrt((values**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
            normal.append(values)
        correlation: Floats = np.einsum("nij,nij->n", *normal)
        return correlation

    def _align(self, laid: _Laid) -> tuple[_Laid, alignment.Fit]:
        """The same, laid better. Of the two the one that shows less is held fast: all of it is in the other."""
        a, b = self._pictures(laid)
        lies = laid.lies.copy()
        less = np.abs(np.linalg.det(lies[:, :, :2])) > 1  # a shows less
        lies[less] = alignment.inverse(lies[less])
        choose = less[:, None, None]
        fit = alignment.fit(np.where(choose, a, b), np.where(choose, b, a), lies)
        found = fit.affine.copy()
        found[less] = alignment.inverse(found[less])
        gain = np.where(less, 1 / np.maximum(fit.gain, 0.1), fit.gain)
        return laid._replace(lies=found), fit._replace(gain=gain)

    # -------------------------------------------------------------------------------------------------------
    # Where pictures lie, and what that means

    def _guessed(self, a: Numbers, b: Numbers, turn: Numbers, frame_a: Floats, frame_b: Floats) -> Floats:
        """How thumbnails lie if two frames, given in shares of their images, show the same."""
        inner_a, inner_b = dihedral.turn_boxes(self._boxes[a], turn), self._boxes[b]
        frame_a = dihedral.turn_boxes(frame_a, turn)
        # a place c in a thumbnail lies at low + c * size in its image, and so does a place in its frame
        size = [box[:, 2:] - box[:, :2] for box in (inner_a, inner_b, frame_a, frame_b)]
        scale = size[1] * size[2] / (size[0] * size[3])
        offset = (
            frame_a[:, :2] - inner_a[:, :2] + (inner_b[:, :2] - frame_b[:, :2]) * size[2] / size[3]
        ) / size[0]
        return alignment.straight(scale, offset * SIDE + (scale - 1) / 2)

    def _named(self, laid: _Laid, similarity: Floats) -> Iterator[_Edge]:
        for start in range(0, len(laid.a), _ALIGNED_AT_ONCE):
            part = laid.rows(slice(start, start + _ALIGNED_AT_ONCE))
            better, fit = self._align(part)
            worse = fit.similarity < similarity[start : start + _ALIGNED_AT_ONCE] - 0.02
            lies = _in_shares(np.where(worse[:, None, None], part.lies, better.lies))
            for row in range(len(part.a)):
                a, b, turn = int(part.a[row]), int(part.b[row]), int(part.turn[row])
                sides = self._side(a).turned(turn), self._side(b)
                relation, detail = name(
                    *sides, turn, lies[row], gain=float(fit.gain[row]), agreeing=float(fit.agreeing[row])
                )
                alike = max(float(similarity[start + row]), float(fit.similarity[row]))
                yield _Edge(
                    int(self._images[a]), int(self._images[b]), relation, int(part.bits[row]), round(alike, 4),
                    detail, whole(lies[row], *sides, turn),
                )  # fmt: skip

    def _side(self, row: int) -> Side:
        width, height, brightness = self._sizes[row]
        return Side(width, height, tuple(self._boxes[row].tolist()), brightness)


def _in_shares(lies: Floats) -> Floats:
    """Maps between thumbnails from pixels, whose middles are whole numbers, to shares of the sides."""
    shares = lies.astype(np.float64)
    shares[:, :, 2] = (lies[:, :, 2] + 0.5 - lies[:, :, :2].sum(axis=2) / 2) / SIDE
    return shares


def _among_first(a: Numbers, b: Numbers) -> Numbers:
    """Rows of which one side has at most `_MOST_LIKE` rows before it."""
    kept = np.zeros(len(a), bool)
    for side in (a, b):
        order = np.argsort(side, kind="stable")
        rank = np.arange(len(side)) - np.searchsorted(side[order], side[order])
        kept[order[rank < _MOST_LIKE]] = True
    return np.flatnonzero(kept)


def _gathered(lots: Iterable[Pairs]) -> Iterator[Pairs]:
    """Few large lots in place of many small ones."""
    held: list[Pairs] = []
    for lot in lots:
        held.append(lot)
        if sum(len(each.a) for each in held) >= LOT:
            yield Pairs.concatenate(held)
            held = []
    if held:
        yield Pairs.concatenate(held)
