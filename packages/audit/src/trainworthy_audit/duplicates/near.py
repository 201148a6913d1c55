"""The search for near-duplicates: candidates by hashes and by keypoints, decided by registering their thumbnails.

Candidates are found generously and fast: hashes that differ in few bits, and keypoints that lie alike. Then each
candidate's thumbnail is registered on its counterpart's, and the pixels decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainworthy_audit import dihedral
from trainworthy_audit.box_agreement import Boxes
from trainworthy_audit.duplicates import alignment, detail, keypoints, within_scenes
from trainworthy_audit.duplicates.chance import Chance
from trainworthy_audit.duplicates.hamming import BATCH, Pairs, candidates
from trainworthy_audit.duplicates.judgement import SCENE, Look, Verdict, judge, refuted
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

#: An image that hashes made a candidate of others is registered on at most so many of them, the closest; and on so
#: many of one place by its keypoints.
_MAX_REGISTERED = 12
_MAX_OF_ONE_PLACE = 8

#: An image that was compared with so many others in vain is not compared with more of those.
_MAX_IN_VAIN = 64

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
        boxes: pl.DataFrame | None = None,
    ) -> None:
        self._images = images["image"].to_numpy().astype(np.int64)
        self._digests = images["digest"].to_list()
        self._sizes = images.select("width", "height", "brightness").rows()
        self._hashes = images["hashes"].to_numpy().astype(np.uint64).reshape(-1, 8)
        # what plain bars leave of each image, in shares of its sides, and the hashes of that
        self._content, self._content_hashes, self._keypoints = unpack(images["keypoints"].to_list())
        self._thumbnails = thumbnails
        self._groups = groups  # of copies and of pictures of one place
        self._copies = groups.copy()
        self._similarity = similarity
        self._boxes = Boxes(boxes)
        self._chance = Chance(self._thumbnails_of, len(self._digests))
        self._accepted: list[tuple[_Candidates, Floats, Verdict]] = []
        self._registered = np.zeros(len(self._digests), np.int64)
        self._in_vain = np.zeros(len(self._digests), np.int64)

    def edges(self, distance: int, mapper: Mapper | None) -> list[Edge]:
        """Edges between images that look alike: the fewest that connect them, copies before pictures of one place."""
        self._search_hashes(distance, mapper)
        self._search_keypoints()
        self._search_scenes()
        edges: list[Edge] = []
        for verdict in (Verdict.COPY, Verdict.SCENE):
            for pairs, similarity, each in self._accepted:
                if each is verdict:
                    kept = self._joining(pairs, self._copies) if verdict is Verdict.SCENE else slice(None)
                    edges += self._described(pairs.rows(kept), similarity[kept], verdict)
        return edges

    def _joining(self, pairs: _Candidates, groups: Groups) -> Numbers:
        """The rows that connect what `groups` do not connect yet."""
        images = zip(self._images[pairs.a].tolist(), self._images[pairs.b].tolist(), strict=True)
        return np.array([row for row, (a, b) in enumerate(images) if groups.join(a, b)], np.int64)

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
                apart &= (self._in_vain[a] < _MAX_IN_VAIN) | (self._in_vain[b] < _MAX_IN_VAIN)
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
        labels = self._copies.labels()
        _, rows = np.unique(labels[self._images], return_index=True)
        of_one_place = np.zeros(len(self._images), np.int64)
        for matches in keypoints.match([self._keypoints[row] for row in rows]):
            order = np.argsort(-matches.votes, kind="stable")
            best = matches.rows(order[_first_of_each(matches.a[order], matches.b[order])])
            a, b = rows[best.a], rows[best.b]
            bits = np.bitwise_count(self._hashes[a, best.turn] ^ self._hashes[b, 0]).astype(np.int64)
            affine = alignment.scale_and_offset(best.scale, best.offset)
            for batch in _Candidates(a, b, best.turn, bits, affine).batches(_REGISTERED_AT_ONCE):
                batch = self._few_of_one_place(batch, of_one_place)  # noqa: PLW2901 - the same, less
                if len(batch.a):
                    self._accept_registered(batch)

    def _few_of_one_place(self, pairs: _Candidates, count: Numbers) -> _Candidates:
        """Without those that are copies already, and with few of those of one place: `count` is of each image."""
        pairs = pairs.rows(self._unconnected(pairs.a, pairs.b, self._copies))
        connected = ~self._unconnected(pairs.a, pairs.b)
        pairs = pairs.rows(~connected | (np.minimum(count[pairs.a], count[pairs.b]) < _MAX_OF_ONE_PLACE))
        connected = ~self._unconnected(pairs.a, pairs.b)
        np.add.at(count, np.concatenate([pairs.a[connected], pairs.b[connected]]), 1)
        return pairs

    def _search_scenes(self) -> None:
        """Copies among the images of one place, which are candidates of one another only once the place is known."""
        links = [
            within_scenes.Link(int(a), int(b), int(turn), affine)
            for pairs, _, verdict in self._accepted
            if verdict is Verdict.SCENE
            for a, b, turn, affine in zip(pairs.a, pairs.b, pairs.turn, pairs.affine, strict=True)
        ]
        for a, b, turn, affine in within_scenes.candidates(links, self._thumbnails_of):
            bits = np.bitwise_count(self._hashes[a, turn] ^ self._hashes[b, 0]).astype(np.int64)
            for batch in _Candidates(a, b, turn, bits, affine).batches(_REGISTERED_AT_ONCE):
                apart = batch.rows(self._unconnected(batch.a, batch.b, self._copies))
                if len(apart.a):
                    self._accept_registered(apart)

    # -------------------------------------------------------------------------------------------------------
    # Comparing the pixels

    def _compare(self, pairs: _Candidates) -> None:
        """Compare thumbnails as they are; then register those that do not agree and are still unconnected."""
        if not len(pairs.a):
            return
        aligned = (np.abs(pairs.affine - np.eye(2, 3)) < 1e-3).all(axis=(1, 2))
        similarity = np.full(len(pairs.a), _REJECTED, np.float32)
        similarity[aligned] = self._correlation(pairs.rows(aligned))
        alike = np.flatnonzero(similarity >= self._similarity)
        for start in range(0, len(alike), _REGISTERED_AT_ONCE):
            batch = pairs.rows(alike[start : start + _REGISTERED_AT_ONCE])
            fixed, moving, affine, _ = self._oriented(batch)
            fit = alignment.assess(fixed, moving, affine)
            self._accept(
                batch,
                fit._replace(
                    similarity=np.maximum(
                        fit.similarity, similarity[alike[start : start + _REGISTERED_AT_ONCE]]
                    )
                ),
                only_copies=True,
            )
        for batch in pairs.batches(_REGISTERED_AT_ONCE):
            rest = batch.rows(self._unconnected(batch.a, batch.b))
            rest = rest.rows(self._count(rest))
            if len(rest.a):
                self._accept_registered(rest)
        unlike = self._unconnected(pairs.a, pairs.b)
        np.add.at(self._in_vain, np.concatenate([pairs.a[unlike], pairs.b[unlike]]), 1)

    def _count(self, pairs: _Candidates) -> Mask:
        """Which of these may be registered: those of which either image has not been registered often; they count."""
        few: Mask = np.minimum(self._registered[pairs.a], self._registered[pairs.b]) < _MAX_REGISTERED
        np.add.at(self._registered, np.concatenate([pairs.a[few], pairs.b[few]]), 1)
        return few

    def _accept_registered(self, pairs: _Candidates) -> None:
        registered, fit = self._register(pairs)
        good = (fit.agreeing >= AGREEING) & (fit.covered >= COVERED)
        self._accept(registered, fit._replace(similarity=np.where(good, fit.similarity, _REJECTED)))

    def _accept(self, pairs: _Candidates, fit: alignment.Registration, *, only_copies: bool = False) -> None:
        """Connect those that are copies or show one place, and remember by what they were connected."""
        alike = np.flatnonzero(fit.similarity >= self._similarity)
        if not len(alike):
            return
        pairs, fit = pairs.rows(alike), alignment.Registration(*(column[alike] for column in fit))
        verdicts = self._judged(pairs, fit)
        for verdict, groups in ((Verdict.COPY, self._copies), (Verdict.SCENE, self._groups)):
            if only_copies and verdict is Verdict.SCENE:
                break
            rows = np.flatnonzero(verdicts == verdict)
            kept = rows[self._joining(pairs.rows(rows), groups)]
            if len(kept):
                self._joining(pairs.rows(kept), self._groups)
                self._accepted.append((pairs.rows(kept), fit.similarity[kept], verdict))

    def _judged(self, pairs: _Candidates, fit: alignment.Registration) -> Numbers:
        """(n,) the `Verdict` on each pair, by pixels and boxes."""
        fixed, moving, affine, choose = self._oriented(pairs)
        chances, backgrounds = [], []
        for rows in (pairs.a, pairs.b):
            chance, background = self._chance.of(rows, self._thumbnails_of(rows))
            chances.append(chance)
            backgrounds.append(background)
        backgrounds[0] = _turned(backgrounds[0], pairs.turn)
        if choose.any():
            backgrounds = [np.where(choose, *backgrounds), np.where(choose, *reversed(backgrounds))]
        else:
            backgrounds = backgrounds[::-1]
        agreement = detail.compare(fixed, moving, affine, fit.gain, (backgrounds[0], backgrounds[1]))
        look = Look(fit, agreement, np.maximum(*chances), affine)
        verdicts = judge(look)
        if self._boxes:
            shares = _to_shares(pairs.affine)
            for row in np.flatnonzero(verdicts == Verdict.COPY):
                a, b, turn = int(pairs.a[row]), int(pairs.b[row]), int(pairs.turn[row])
                place = whole_image_map(shares[row], self._side(a).turned(turn), self._side(b), turn)
                boxes = self._boxes.agreement(int(self._images[a]), int(self._images[b]), place)
                if refuted(look, int(row), boxes):
                    verdicts[row] = Verdict.SCENE if look.detail.structure[row] >= SCENE else Verdict.UNLIKE
        return verdicts

    def _unconnected(self, a: Numbers, b: Numbers, groups: Groups | None = None) -> Mask:
        labels = (groups or self._groups).labels()
        unconnected: Mask = labels[self._images[a]] != labels[self._images[b]]
        return unconnected

    def _pictures(self, pairs: _Candidates) -> tuple[Thumbnails, Thumbnails]:
        """The thumbnails of `a`, turned, and of `b`."""
        thumbnails = self._thumbnails_of(np.concatenate([pairs.a, pairs.b]))
        return _turned(thumbnails[: len(pairs.a)], pairs.turn), thumbnails[len(pairs.a) :]

    def _thumbnails_of(self, rows: Numbers) -> Thumbnails:
        """(n, SIDE, SIDE) the thumbnails of rows, which may repeat."""
        wanted, places = np.unique(rows, return_inverse=True)
        return self._thumbnails([self._digests[row] for row in wanted])[places]

    def _oriented(self, pairs: _Candidates) -> tuple[Thumbnails, Thumbnails, Floats, Mask]:
        """The picture that shows less, the other one, the maps from the one to the other; where the one is `a`."""
        a, b = self._pictures(pairs)
        affine = pairs.affine.copy()
        a_shows_less = np.abs(np.linalg.det(affine[:, :, :2])) > 1
        affine[a_shows_less] = alignment.invert(affine[a_shows_less])
        choose = a_shows_less[:, None, None]
        return np.where(choose, a, b), np.where(choose, b, a), affine, choose

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
        fixed, moving, affine, choose = self._oriented(pairs)
        fit = alignment.register(fixed, moving, affine)
        a_shows_less = choose[:, 0, 0]
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

    def _described(self, pairs: _Candidates, similarity: Floats, verdict: Verdict) -> Iterator[Edge]:
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
                relation, words = describe(*sides, turn, affine[row], gain=gain, agreeing=agreeing)
                if verdict is Verdict.SCENE:
                    relation, words = (
                        "scene",
                        f"the same place, and {100 * (1 - agreeing):.0f} % of it differs",
                    )
                best = max(float(similarity[start + row]), float(fit.similarity[row]))
                yield Edge(
                    int(self._images[a]), int(self._images[b]), relation, int(batch.bits[row]), round(best, 4),
                    words, whole_image_map(affine[row], *sides, turn),
                )  # fmt: skip

    def _side(self, row: int) -> Side:
        width, height, brightness = self._sizes[row]
        return Side(width, height, tuple(self._content[row].tolist()), brightness)


def _turned(pictures: Any, turns: Numbers) -> Any:  # noqa: ANN401 - of any type
    """(n, SIDE, SIDE) pictures, each turned on its own."""
    turned = pictures.copy()
    for turn in np.unique(turns):
        rows = np.flatnonzero(turns == turn)
        turned[rows] = dihedral.turn_array(pictures[rows], turn, axes=(1, 2))
    return turned


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
