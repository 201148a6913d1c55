"""Ray takes half a minute to start: one cluster of two workers, on this machine, for all of these."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from support.helpers import TESTS, measurer, write
from trainworthy_audit import auditing
from trainworthy_audit.config import Config
from trainworthy_audit.duplicates import hamming
from trainworthy_audit.errors import TrainworthyError, UnreachableError
from trainworthy_audit.measure import Measurer
from trainworthy_audit.measure import measurer as measuring
from trainworthy_audit.measure.engines import Failure, load, ray
from trainworthy_audit.measure.engines.local import Engine as Local
from trainworthy_audit.measure.parquet_store import ParquetStore
from trainworthy_audit.source import open_source
from trainworthy_audit.types import Box, Example, Picture

OBEY = "support.kernels_that_fail:obey"

CAT = Box("cat", 10, 10, 60, 60)
MANY = Example(
    (
        *(Picture(f"p{number:02}.jpg", scene=number, boxes=(CAT,)) for number in range(24)),
        Picture("copy.jpg", like="p03.jpg", boxes=(CAT,)),
        Picture("near.jpg", scene=5, boxes=(CAT,), save={"quality": 40}),
        Picture("cut.jpg", scene=30, boxes=(CAT,), mangle=lambda data: data[:-2000]),
        Picture("none.jpg", scene=31, boxes=(CAT,), mangle=lambda _: b"<html>"),
        Picture("crash.jpg", scene=32, boxes=(CAT,), mangle=lambda data: data + b"\nsegfault"),
    )
)


def test_parts_that_are_lost_are_given_out_again_and_then_halved() -> None:
    """An item that takes its worker along is singled out, and costs none of its neighbours."""
    todo, given_up, lost = ray._parts(100, 2), [], 0
    answered: Counter[int] = Counter()
    while todo:
        part = todo.popleft()
        if 42 not in part.items:
            answered.update(part.items)
            continue
        lost += 1
        todo.extendleft(part.after_loss())
        if part.hopeless:
            given_up += part.items
    assert given_up == [42]
    assert answered == Counter(set(range(100)) - {42})
    assert lost <= ray.LOSSES * 8


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ray is not installed the message says what brings it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TrainworthyError, match="needs Ray") as raised:
        load("ray")
    assert raised.value.next_step == "uv run --group cluster trainworthy audit DATASET --engine ray"


def test_cluster_of_another_version_is_refused() -> None:
    """Images might measure differently there; no measurement is made."""
    with pytest.raises(
        TrainworthyError, match=r"the Ray cluster has trainworthy-audit .*, this machine 0\.0"
    ):
        ray._serve("0.0", OBEY, ["a"], [])


class WithoutHead:
    """Stands for Ray while the head of its cluster is gone: whatever needs the head never returns."""

    exceptions: Any = None

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.forever = threading.Event()

    def is_initialized(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        def wait(*_: object, **__: object) -> None:
            self.asked.append(name)
            self.forever.wait()

        return wait


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, WithoutHead]]:
    """An engine that is connected to a cluster whose head has gone, and the Ray that it uses."""
    fake = WithoutHead()
    monkeypatch.setattr(ray, "_imported", lambda: fake)
    for name, seconds in (("LOOK", 0.05), ("LOST", 0.2), ("LEAVE", 0.1)):
        monkeypatch.setattr(ray, name, seconds)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made = ray.Engine(2)
    made._head, made._connected = ray._Head(f"127.0.0.1:{port}"), True
    yield made, fake
    fake.forever.set()


def test_lost_head_ends_the_run(headless: tuple[Any, WithoutHead]) -> None:
    """A call that waits for a head that is gone is given up, and so is leaving the cluster; the message says why."""
    engine, fake = headless
    with pytest.raises(UnreachableError, match=r"(?s)head of the Ray cluster is lost.*no verdict"):
        list(engine.run(OBEY, ["a"]))
    engine.close()
    assert fake.asked == ["put", "shutdown"]


def test_head_that_is_there_is_waited_for(headless: tuple[Any, WithoutHead]) -> None:
    """However long a call takes, it is not given up while the head takes connections; its errors are raised."""
    engine, _ = headless
    with socket.create_server(("127.0.0.1", 0)) as server:
        engine._head = ray._Head(f"127.0.0.1:{server.getsockname()[1]}")
        assert engine._watched(lambda: time.sleep(0.5) or "done") == "done"
        with pytest.raises(ZeroDivisionError):
            engine._watched(lambda: 1 // 0)


def test_cluster_that_cannot_be_reached_names_the_token(
    headless: tuple[Any, WithoutHead], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray refuses whoever lacks the token as if nothing were there: the message says which variables bring it."""
    engine, fake = headless

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(fake, "is_initialized", lambda: False)
    monkeypatch.setattr(fake, "init", refuse, raising=False)
    engine._address = "head:6379"
    with pytest.raises(
        TrainworthyError, match=r"(?s)cannot reach the Ray cluster head:6379.*RAY_AUTH_MODE=token"
    ):
        engine._connect()


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A cluster of two workers, which find the functions of these tests."""
    if find_spec("ray") is None:  # not imported: the engine does that, with what it sets before
        pytest.skip("Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *sys.path[1:]]))
        patch.delenv("RAY_ADDRESS", raising=False)
        made = ray.Engine(2)
        yield made
        with warnings.catch_warnings():  # Ray does not wait for its own processes to end
            warnings.simplefilter("ignore", ResourceWarning)
            made.close()
            gc.collect()


def answers(engine: Any, items: list[str]) -> list[object]:
    """The answers in the order of the items, each of which must have come exactly once."""
    got = list(engine.run(OBEY, items))
    assert sorted(index for index, _ in got) == list(range(len(items)))
    return [answer for _, answer in sorted(got, key=lambda pair: pair[0])]


@pytest.mark.slow
def test_answers_are_those_of_one_machine(engine: Any) -> None:
    """Results, crashes, exits and exceptions are the same as from the local pool, item for item."""
    items = [*(f"item {number}" for number in range(300)), "segfault", "exit", "raise", "allocate", "z"] * 2
    with Local(2) as local:
        assert answers(engine, items) == answers(local, items)
    assert answers(engine, []) == []


@pytest.mark.slow
def test_worker_that_is_killed_costs_nothing(engine: Any, tmp_path: Path) -> None:
    """A worker of the cluster that is killed in mid-run, by SIGKILL, is replaced, and what it had is done again."""
    marker = tmp_path / "killed"
    items = [f"item {number}" for number in range(200)]
    items[70] = f"kill the worker once {marker}"
    assert answers(engine, items) == [item.upper() for item in items]
    assert marker.exists()


@pytest.mark.slow
def test_item_that_always_kills_its_worker_is_singled_out(engine: Any) -> None:
    """Its answer is a failure that says so; all others have their results."""
    items = [f"item {number}" for number in range(40)]
    items[17] = "kill the worker"
    got = answers(engine, items)
    assert isinstance(got[17], Failure)
    assert (got[17].kind, got[17].detail[:19]) == ("crashed", "worker lost 3 times")
    assert [answer for number, answer in enumerate(got) if number != 17] == [
        item.upper() for number, item in enumerate(items) if number != 17
    ]


@pytest.mark.slow
def test_error_in_the_caller_is_raised(engine: Any) -> None:
    """A function that does not exist is an error of ours, said as one."""
    with pytest.raises(TrainworthyError, match=r"cannot find support\.kernels_that_fail:no_such_function"):
        list(engine.run("support.kernels_that_fail:no_such_function", ["a"]))


@pytest.mark.slow
def test_leaving_early_leaves_the_cluster_usable(engine: Any) -> None:
    """A run that is abandoned does not disturb the next one."""
    run = engine.run(OBEY, [f"item {number}" for number in range(500)])
    assert next(run)[1].startswith("ITEM")
    run.close()
    assert answers(engine, ["a", "b"]) == ["A", "B"]


@pytest.mark.slow
def test_audit_on_the_cluster_is_that_of_one_machine(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same measurements, findings and fingerprint, bit for bit, with a decoder that crashes on one image.

    A second run measures only what crashed.
    """
    monkeypatch.setattr(measuring, "MEASURE", "support.kernels_that_fail:measure_or_fail")
    monkeypatch.setattr("trainworthy_audit.measure.store.RACY", -(10**15))
    monkeypatch.chdir(tmp_path)
    write(MANY, tmp_path / "data")
    source = open_source(Path("data"))
    alone = auditing.audit(source, Config(), measurer())
    told: list[int] = []
    images = len(source.images())
    for measured in (images, 1):
        told.clear()
        clustered = Measurer(ParquetStore(tmp_path / "kept"), engine, lambda done, _: told.append(done))
        found = auditing.audit(open_source(Path("data")), Config(), clustered)
        assert images - told[0] == measured
        assert found.findings.equals(alone.findings)
        assert found.evidence.pixels.equals(alone.evidence.pixels)
        assert found.evidence.duplicates.equals(alone.evidence.duplicates)
        assert found.fingerprint == alone.fingerprint
    assert {"D001", "D002", "I001", "I002"} <= set(found.findings["rule"])
    crashed = found.evidence.images.filter(pl.col("path").str.ends_with("crash.jpg"))
    assert crashed["reason"].to_list() == ["the decoder crashed on this image (SIGSEGV)"]


@pytest.mark.slow
def test_duplicates_are_searched_on_the_cluster(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spread over the cluster the search brings the same pairs as here."""
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, (3000, 8), dtype=np.uint64)
    hashes[1500:, 0] = hashes[:1500, 3] ^ (np.uint64(1) << rng.integers(0, 64, 1500).astype(np.uint64))
    here = hamming.Pairs.concatenate(list(hamming.candidates(hashes, 8))).sorted()
    monkeypatch.setattr(hamming, "MIN_DISTRIBUTED", 0)
    there = hamming.Pairs.concatenate(list(hamming.candidates(hashes, 8, engine.map))).sorted()
    assert len(here.a) >= 1500
    for mine, its in zip(here, there, strict=True):
        assert (mine == its).all()
