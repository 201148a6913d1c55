"""The search for near-duplicates: candidates by hashes and by keypoints, decided by registering their thumbnails.

Candidates are found generously and fast: hashes that differ in few bits, and keypoints that lie alike. Then each
candidate's thumbnail is registered on its counterpart's, and the pixels decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.duplicates import alignment, keypoints
from trainworthy_audit.duplicates.hamming import BATCH, Pairs, candidates
from trainworthy_audit.duplicates.relation import Side, describe, whole_image_map
from trainworthy_audit.images.keypoints import SIDE, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import polars as pl

    from trainworthy_audit.duplicates.groups import Groups
    from trainworthy_audit.measure.engines import Mapper

    Thumbnails = np.ndarray[Any, np.dtype[np.uint8]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: Where two pictures match by keypoints or once registered, this share of the blocks must agree, and this share of the
#: smaller one must be in the other: frames of a panning camera show less of one another.
AGREEING = 0.6
COVERED = 0.8

#: An image is registered on at most so many others because of keypoints: those with which it has the most in common.
_MAX_MATCHES = 32

#: Pairs whose thumbnails are compared at once, 32 KB each, and registered at once.
_COMPARED_AT_ONCE = 1_024
_REGISTERED_AT_ONCE = 64

#: An edge was accepted at one similarity; a later registration that is worse by this is not used to describe it.
_WORSE = 0.02

#: Below any similarity that is asked for.
_REJECTED = -2


class Edge(NamedTuple):
    """Two images that are copies: a row of `types.PAIRS` without its group."""

    a: int
    b: int
    relation: str
    distance: int
    similarity: float | None = None
    detail: str | None = None
    map: list[float] | None = None


class _Candidates(NamedTuple):
    """Pairs of rows: `a` is turned by `turn`, and `affine` says where `b` lies in it."""

    a: Numbers
    b: Numbers
    turn: Numbers
    bits: Numbers  # by which the hashes differ
    affine: Floats  # (n, 2, 3): a place in b's thumbnail -> one in a's, in pixels

    def rows(self, which: Any) -> _Candidates:  # noqa: ANN401 - a slice, a mask or an index array
        return _Candidates(*(column[which] for column in self))

    def batches(self, size: int) -> Iterator[_Candidates]:
        for start in range(0, len(self.a), size):
            yield self.rows(slice(start, start + size))


class NearDuplicateSearch:
    """The near-duplicates among `images`, which all differ: rows of `PIXELS`."""

    def __init__(
        self,
        images: pl.DataFrame,
        thumbnails: Callable[[Sequence[str]], Thumbnails],
        groups: Groups,
        similarity: float,
    ) -> None:
        self._images = images["image"].to_numpy().astype(np.int64)
        self._digests = images["digest"].to_list()
        self._sizes = images.select("width", "height", "brightness").rows()
        self._hashes = images["hashes"].to_numpy().astype(np.uint64).reshape(-1, 8)
        # what plain bars leave of each image, in shares of its sides, and the hashes of that
        self._content, self._content_hashes, self._keypoints = unpack(images["keypoints"].to_list())
        self._thumbnails = thumbnails
        self._groups = groups
        self._similarity = similarity
        self._accepted: list[tuple[_Candidates, Floats]] = []

    def edges(self, distance: int, mapper: Mapper | None) -> list[Edge]:
        """Edges between images that look alike, closest first; none between images that are connected already."""
        self._search_hashes(distance, mapper)
        self._search_keypoints()
        return [edge for pairs, similarity in self._accepted for edge in self._described(pairs, similarity)]

    # -------------------------------------------------------------------------------------------------------
    # Two ways to candidates

    def _search_hashes(self, distance: int, mapper: Mapper | None) -> None:
        # An image with plain bars is searched for twice: as it is, and what the bars leave.
        barred = np.flatnonzero((self._content_hashes != self._hashes).any(axis=1))
        hashes = np.concatenate([self._hashes, self._content_hashes[barred]])
        row_of = np.concatenate([np.arange(len(self._hashes)), barred])
        whole = np.tile(np.array([0, 0, 1, 1], np.float32), (len(self._hashes), 1))
        frames = np.concatenate([whole, self._content[barred]])

        def compare(pairs: Pairs) -> None:
            for start in range(0, len(pairs.a), _COMPARED_AT_ONCE):
                part = pairs.rows(slice(start, start + _COMPARED_AT_ONCE))
                a, b = row_of[part.a], row_of[part.b]
                apart = self._unconnected(a, b)
                part, a, b = part.rows(apart), a[apart], b[apart]
                guess = self._guess(a, b, part.turn, frames[part.a], frames[part.b])
                self._compare(_Candidates(a, b, part.turn, part.bits, guess))

        # Of images with one and the same hash, however many, each is compared with the first of them; then only
        # those that were not recognised are searched for.
        _, first, which = np.unique(hashes[:, 0], return_index=True, return_inverse=True)
        first = first[which]
        same = np.flatnonzero(first != np.arange(len(hashes)))
        zeros = np.zeros(len(same), np.int64)
        compare(Pairs(first[same], same, zeros, zeros))
        labels = self._groups.labels()[self._images[row_of]]
        rest = np.flatnonzero((first == np.arange(len(hashes))) | (labels != labels[first]))
        for batch in _merged(candidates(hashes[rest], distance, mapper)):
            compare(Pairs(rest[batch.a], rest[batch.b], batch.turn, batch.bits).sorted())

    def _search_keypoints(self) -> None:
        """Only one image of each group is searched for: a crop of another one is a crop of this one too."""
        labels = self._groups.labels()
        _, rows = np.unique(labels[self._images], return_index=True)
        for matches in keypoints.match([self._keypoints[row] for row in rows]):
            order = np.argsort(-matches.votes, kind="stable")
            best = matches.rows(order[_first_of_each(matches.a[order], matches.b[order])])
            a, b = rows[best.a], rows[best.b]
            bits = np.bitwise_count(self._hashes[a, best.turn] ^ self._hashes[b, 0]).astype(np.int64)
            affine = alignment.scale_and_offset(best.scale, best.offset)
            for batch in _Candidates(a, b, best.turn, bits, affine).batches(_REGISTERED_AT_ONCE):
                unconnected = batch.rows(self._unconnected(batch.a, batch.b))
                if len(unconnected.a):
                    self._accept_registered(unconnected)

    # -------------------------------------------------------------------------------------------------------
    # Comparing the pixels

    def _compare(self, pairs: _Candidates) -> None:
        """Compare thumbnails as they are; then register those that do not agree and are still unconnected."""
        if not len(pairs.a):
            return
        aligned = (np.abs(pairs.affine - np.eye(2, 3)) < 1e-3).all(axis=(1, 2))
        similarity = np.full(len(pairs.a), _REJECTED, np.float32)
        similarity[aligned] = self._correlation(pairs.rows(aligned))
        self._accept(pairs, similarity)
        rest = pairs.rows((similarity < self._similarity) & self._unconnected(pairs.a, pairs.b))
        for batch in rest.batches(_REGISTERED_AT_ONCE):
            self._accept_registered(batch)

    def _accept_registered(self, pairs: _Candidates) -> None:
        registered, fit = self._register(pairs)
        good = (fit.agreeing >= AGREEING) & (fit.covered >= COVERED)
        self._accept(registered, np.where(good, fit.similarity, _REJECTED))

    def _accept(self, pairs: _Candidates, similarity: Floats) -> None:
        """Connect those that are similar enough, and remember by what they were connected."""
        kept = [
            row
            for row in np.flatnonzero(similarity >= self._similarity)
            if self._groups.join(int(self._images[pairs.a[row]]), int(self._images[pairs.b[row]]))
        ]
        if kept:
            self._accepted.append((pairs.rows(np.array(kept)), similarity[kept]))

    def _unconnected(self, a: Numbers, b: Numbers) -> Mask:
        labels = self._groups.labels()
        unconnected: Mask = labels[self._images[a]] != labels[self._images[b]]
        return unconnected

    def _pictures(self, pairs: _Candidates) -> tuple[Thumbnails, Thumbnails]:
        """The thumbnails of `a`, turned, and of `b`."""
        wanted, places = np.unique(np.concatenate([pairs.a, pairs.b]), return_inverse=True)
        thumbnails = self._thumbnails([self._digests[row] for row in wanted])
        left, right = thumbnails[places[: len(pairs.a)]], thumbnails[places[len(pairs.a) :]]
        for turn in np.unique(pairs.turn):
            rows = np.flatnonzero(pairs.turn == turn)
            left[rows] = dihedral.turn_array(left[rows], turn, axes=(1, 2))
        return left, right

    def _correlation(self, pairs: _Candidates) -> Floats:
        """(n,) the correlation of the thumbnails, `a`'s turned as its hash was."""
        normalised = []
        for pictures in self._pictures(pairs):
            values = pictures.astype(np.float32)
            values -= values.mean(axis=(1, 2), keepdims=True)
            values /= np.maximum(np.sqrt((values**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
            normalised.append(values)
        correlation: Floats = np.einsum("nij,nij->n", *normalised)
        return correlation

    def _register(self, pairs: _Candidates) -> tuple[_Candidates, alignment.Registration]:
        """The same with better maps. Of two pictures the one that shows less is fixed: all of it is in the other."""
        a, b = self._pictures(pairs)
        affine = pairs.affine.copy()
        a_shows_less = np.abs(np.linalg.det(affine[:, :, :2])) > 1
        affine[a_shows_less] = alignment.invert(affine[a_shows_less])
        choose = a_shows_less[:, None, None]
        fit = alignment.register(np.where(choose, a, b), np.where(choose, b, a), affine)
        better = fit.affine.copy()
        better[a_shows_less] = alignment.invert(better[a_shows_less])
        gain = np.where(a_shows_less, 1 / np.maximum(fit.gain, 0.1), fit.gain)
        return pairs._replace(affine=better), fit._replace(gain=gain)

    # -------------------------------------------------------------------------------------------------------
    # Where pictures lie, and what that means

    def _guess(self, a: Numbers, b: Numbers, turn: Numbers, frame_a: Floats, frame_b: Floats) -> Floats:
        """The maps between thumbnails if two frames, given in shares of their images, show the same."""
        content_a, content_b = dihedral.turn_boxes(self._content[a], turn), self._content[b]
        frame_a = dihedral.turn_boxes(frame_a, turn)
        # a place c in a thumbnail is at low + c * size in its image, and so is a place in its frame
        size = [box[:, 2:] - box[:, :2] for box in (content_a, content_b, frame_a, frame_b)]
        scale = size[1] * size[2] / (size[0] * size[3])
        offset = (
            frame_a[:, :2] - content_a[:, :2] + (content_b[:, :2] - frame_b[:, :2]) * size[2] / size[3]
        ) / size[0]
        return alignment.scale_and_offset(scale, offset * SIDE + (scale - 1) / 2)

    def _described(self, pairs: _Candidates, similarity: Floats) -> Iterator[Edge]:
        """The edges of accepted pairs, with what was done to one image to get the other."""
        for start in range(0, len(pairs.a), _REGISTERED_AT_ONCE):
            batch = pairs.rows(slice(start, start + _REGISTERED_AT_ONCE))
            registered, fit = self._register(batch)
            worse = fit.similarity < similarity[start : start + _REGISTERED_AT_ONCE] - _WORSE
            affine = _to_shares(np.where(worse[:, None, None], batch.affine, registered.affine))
            for row in range(len(batch.a)):
                a, b, turn = int(batch.a[row]), int(batch.b[row]), int(batch.turn[row])
                sides = self._side(a).turned(turn), self._side(b)
                gain, agreeing = float(fit.gain[row]), float(fit.agreeing[row])
                relation, detail = describe(*sides, turn, affine[row], gain=gain, agreeing=agreeing)
                best = max(float(similarity[start + row]), float(fit.similarity[row]))
                yield Edge(
                    int(self._images[a]), int(self._images[b]), relation, int(batch.bits[row]), round(best, 4),
                    detail, whole_image_map(affine[row], *sides, turn),
                )  # fmt: skip

    def _side(self, row: int) -> Side:
        width, height, brightness = self._sizes[row]
        return Side(width, height, tuple(self._content[row].tolist()), brightness)


def _to_shares(affine: Floats) -> Floats:
    """Maps between thumbnails from pixels, whose middles are whole numbers, to shares of the sides."""
    shares = affine.astype(np.float64)
    shares[:, :, 2] = (affine[:, :, 2] + 0.5 - affine[:, :, :2].sum(axis=2) / 2) / SIDE
    return shares


def _first_of_each(a: Numbers, b: Numbers) -> Numbers:
    """Rows of which either picture has at most `_MAX_MATCHES` rows before it."""
    kept = np.zeros(len(a), bool)
    for side in (a, b):
        order = np.argsort(side, kind="stable")
        rank = np.arange(len(side)) - np.searchsorted(side[order], side[order])
        kept[order[rank < _MAX_MATCHES]] = True
    return np.flatnonzero(kept)


def _merged(batches: Iterable[Pairs]) -> Iterator[Pairs]:
    """Few large batches in place of many small ones."""
    held: list[Pairs] = []
    for batch in batches:
        held.append(batch)
        if sum(len(each.a) for each in held) >= BATCH:
            yield Pairs.concatenate(held)
            held = []
    if held:
        yield Pairs.concatenate(held)
