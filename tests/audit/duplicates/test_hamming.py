"""The search among hashes finds what comparing them all finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainworthy_audit.duplicates import hamming
from trainworthy_audit.duplicates.hamming import candidates


def brute_force(hashes: np.ndarray[Any, Any], limit: int) -> set[tuple[int, int, int, int]]:
    bits = np.bitwise_count(hashes[:, :, None] ^ hashes[None, None, :, 0])
    a, turn, b = np.nonzero(bits <= limit)
    return {
        (int(i), int(j), int(k), int(bits[i, k, j])) for i, k, j in zip(a, turn, b, strict=True) if i < j
    }  # fmt: skip


def found_among(hashes: np.ndarray[Any, Any], limit: int) -> list[tuple[int, int, int, int]]:
    return [
        (int(a), int(b), int(turn), int(bits))
        for batch in candidates(hashes, limit)
        for a, b, turn, bits in zip(batch.a, batch.b, batch.turn, batch.bits, strict=True)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12), st.sampled_from([2, 3, 20, 300, 700]), st.integers(1, 14))
def test_search_finds_what_brute_force_finds(seed: int, limit: int, many: int, spread: int) -> None:
    """Every pair within the distance, in every variant, comes exactly once, and no other."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (many, 8), dtype=np.uint64)
    for _ in range(many):  # plant neighbours
        source, target = rng.integers(0, many, 2)
        mask = np.bitwise_or.reduce(np.uint64(1) << rng.integers(0, 64, spread).astype(np.uint64))
        hashes[target, 0] = hashes[source, rng.integers(0, 8)] ^ mask
    found = found_among(hashes, limit)
    assert set(found) == brute_force(hashes, limit)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("limit", [0, 1, 4, 8, 10])
def test_search_by_tables_finds_what_brute_force_finds(limit: int) -> None:
    """The same among as many hashes as are looked up in tables, some of them equal."""
    rng = np.random.default_rng(limit)
    many = 1200
    hashes = rng.integers(0, 2**64, (many, 8), dtype=np.uint64)
    for target in range(0, many, 2):
        mask = np.uint64(0)
        for bit in rng.integers(0, 64, rng.integers(0, 13)):
            mask |= np.uint64(1) << np.uint64(bit)
        hashes[target, 0] = hashes[rng.integers(0, many), rng.integers(0, 8)] ^ mask
    found = found_among(hashes, limit)
    assert found
    assert set(found) == brute_force(hashes, limit)
    assert len(found) == len(set(found))


def test_crowded_tables_are_searched_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hashes share a key, pairs come in batches of bounded size, and none is lost between them."""
    monkeypatch.setattr("trainworthy_audit.duplicates.hamming.BATCH", 5_000)
    rng = np.random.default_rng(0)
    hashes = np.tile(rng.integers(0, 2**64, (1, 8), dtype=np.uint64), (600, 1))
    hashes[:, 0] ^= np.uint64(1) << rng.integers(0, 64, 600).astype(np.uint64)
    lots = list(candidates(hashes, 3))
    assert max(len(lot.a) for lot in lots) < 10_000
    assert {pair for lot in lots for pair in zip(*(c.tolist() for c in lot), strict=True)} == brute_force(
        hashes, 3
    )


@pytest.mark.parametrize("limit", [2, 8])
def test_a_distributed_search_finds_the_same(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose tasks go to other machines finds every pair once, in the same batches as one that runs here."""
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 2**64, (1_500, 8), dtype=np.uint64)
    hashes[700:, 0] = hashes[:800, 3] ^ np.uint64(5)
    monkeypatch.setattr(hamming, "BATCH", 200)
    alone = list(candidates(hashes, limit))
    monkeypatch.setattr(hamming, "MIN_DISTRIBUTED", 10)
    pieces: list[Any] = []

    def mapper(function: Any, items: Any, shared: Any) -> Any:
        pieces.extend(items)
        return [function(item, shared) for item in items]

    lots = list(candidates(hashes, limit, mapper))
    assert len(pieces) > 1
    assert len(lots) > 1
    for mine, its in zip(alone, lots, strict=True):
        assert all((one == other).all() for one, other in zip(mine, its, strict=True))
    found = [row for lot in lots for row in zip(*(c.tolist() for c in lot), strict=True)]
    assert len(found) == len(set(found)) >= 800
