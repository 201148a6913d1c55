from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from support.pictures import encode, photo
from trainworthy_audit.errors import OutputError, TrainworthyError
from trainworthy_audit.measure import Measurer, parquet_store
from trainworthy_audit.measure import measurer as measuring
from trainworthy_audit.measure import store as stores
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.measure.parquet_store import ParquetStore
from trainworthy_audit.source import Source, open_source


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(2) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images: a photograph and its copy, four others, a damaged one, and what is none; written long ago."""
    made = tmp_path / "images"
    made.mkdir()
    for number, name in enumerate(("a", "b", "c", "d", "e", "f")):
        (made / f"{name}.jpg").write_bytes(encode(photo(max(number - 1, 0), (120, 90))))
    (made / "g.jpg").write_bytes(encode(photo(7, (120, 90)))[:-1500])
    (made / "h.jpg").write_bytes(b"<html>")
    return made


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files just written count as if they had been written long ago."""
    monkeypatch.setattr(stores, "RACY", -(10**15))


def run(folder: Path, kept: Path, engine: Engine) -> tuple[pl.DataFrame, int]:
    """What is measured, and how many images were read for it."""
    told: list[int] = []
    measurer = Measurer(ParquetStore(kept), engine, lambda done, _: told.append(done))
    source = open_source(folder)
    pixels = measurer.measure(source, source.images())
    assert told[-1] == pixels.height
    return pixels, pixels.height - told[0]


def plainly(source: Source) -> tuple[pl.DataFrame, list[bytes]]:
    with Measurer(engine=Engine(1)) as measurer:
        pixels = measurer.measure(source, source.images())
        return pixels, [picture.tobytes() for picture in measurer.thumbnails(pixels["digest"].to_list())]


def test_rows_and_thumbnails_are_those_of_the_plain_measurer(
    folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed to Parquet in small parts and read again, every value is the same, now and in a second run."""
    monkeypatch.setattr(parquet_store, "ROWS", 3)
    source = open_source(folder)
    pixels, thumbnails = plainly(source)
    for measured in (8, 0):
        found, read = run(folder, tmp_path / "kept", engine)
        assert found.equals(pixels)
        assert read == measured
    again = Measurer(ParquetStore(tmp_path / "kept"), engine).thumbnails(pixels["digest"].to_list())
    assert [picture.tobytes() for picture in again] == thumbnails
    assert len(list((tmp_path / "kept").glob("*.parquet"))) == 3


#: A run that ends as by SIGKILL after five of the images: nothing is cleaned up.
KILLED = """
import os, sys
from pathlib import Path
from trainworthy_audit.measure import Measurer, parquet_store, store
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.source import open_source

parquet_store.ROWS, store.RACY = 2, -(10**15)
source = open_source(Path(sys.argv[1]))
stop = lambda done, _: os._exit(9) if done == 5 else None
Measurer(parquet_store.ParquetStore(Path(sys.argv[2])), Engine(1), stop).measure(source, source.images())
"""


def test_killed_run_goes_on_where_it_was(
    folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in whole parts is not measured again after a kill, and what was half written is not read."""
    monkeypatch.setattr(parquet_store, "ROWS", 2)
    words = [sys.executable, "-c", KILLED, str(folder), str(tmp_path / "kept")]
    assert subprocess.run(words, check=False).returncode == 9
    (tmp_path / "kept" / "part-1-1.writing").write_bytes(b"half")
    found, read = run(folder, tmp_path / "kept", engine)
    assert read == 4
    assert found.equals(plainly(open_source(folder))[0])


def test_interrupted_run_keeps_what_it_has(folder: Path, tmp_path: Path, engine: Engine) -> None:
    """Ctrl-C loses nothing that was measured, even of a part that is not full."""

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    source = open_source(folder)
    with pytest.raises(KeyboardInterrupt):
        Measurer(ParquetStore(tmp_path / "kept"), engine, interrupt).measure(source, source.images())
    assert run(folder, tmp_path / "kept", engine)[1] == 5


def test_changed_and_new_files_are_measured(folder: Path, tmp_path: Path, engine: Engine) -> None:
    """A changed file and a new one are measured, and a part of which nothing is left is removed."""
    run(folder, tmp_path / "kept", engine)
    (folder / "a.jpg").write_bytes(encode(photo(20, (120, 90))))
    (folder / "z.jpg").write_bytes(encode(photo(21, (120, 90))))
    found, read = run(folder, tmp_path / "kept", engine)
    assert read == 2
    assert found.equals(plainly(open_source(folder))[0])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes())
    assert run(folder, tmp_path / "kept", engine)[1] == 9
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_file_touched_a_moment_ago_is_not_relied_upon(
    folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may change again within one tick of the clock: such files are in the result, and read again."""
    monkeypatch.setattr(stores, "RACY", 10**18)
    for _ in range(2):
        found, read = run(folder, tmp_path / "kept", engine)
        assert (found["status"].null_count(), read) == (0, 8)


def test_crash_is_not_relied_upon(
    folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What crashed once is an unreadable image, and tried again by the next run."""
    (folder / "a.jpg").write_bytes(encode(photo(5, (120, 90))) + b"\nexit")
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "MEASURE", "support.kernels_that_fail:measure_or_fail")
        assert run(folder, tmp_path / "kept", engine)[0]["reason"][0] == (
            "the decoder crashed on this image (exit code 3)"
        )
    found, read = run(folder, tmp_path / "kept", engine)
    assert (found["status"][0], read) == ("ok", 1)


@pytest.mark.parametrize("suffix", [".parquet", ".grey"])
def test_damaged_part_is_measured_again(folder: Path, tmp_path: Path, engine: Engine, suffix: str) -> None:
    """A part that cannot be read is said, and costs only its own images' time."""
    first, _ = run(folder, tmp_path / "kept", engine)
    (part,) = (tmp_path / "kept").glob(f"*{suffix}")
    part.write_bytes(b"nonsense")
    measurer = Measurer(ParquetStore(tmp_path / "kept"), engine)
    source = open_source(folder)
    assert measurer.measure(source, source.images()).equals(first)
    assert [note for note in measurer.notes if "measured again" in note]


def test_folder_that_cannot_be_made_is_said(tmp_path: Path, engine: Engine) -> None:
    """Where measurements cannot be kept the error says where, and what follows."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot keep measurements in"):
        ParquetStore(tmp_path / "file" / "kept")


def test_without_a_folder_nothing_is_left(folder: Path, engine: Engine) -> None:
    """Measurements that nobody wants kept are gone with the measurer."""
    store = ParquetStore()
    with Measurer(store, engine) as measurer:
        source = open_source(folder)
        assert measurer.measure(source, source.images()).height == 8
        kept = store.folder
        assert list(kept.iterdir())
    assert not kept.exists()


def test_no_images(tmp_path: Path, engine: Engine) -> None:
    """No images give no rows, with all columns."""
    (tmp_path / "images").mkdir()
    source = open_source(tmp_path / "images")
    found = Measurer(ParquetStore(tmp_path / "kept"), engine).measure(source, [])
    assert (found.height, found.schema) == (0, parquet_store.PIXELS)


def test_workers_that_do_not_see_the_files_end_the_run(folder: Path, tmp_path: Path) -> None:
    """Where a cluster's node has no such file, but this machine has, the dataset is not blamed for it."""

    class Elsewhere:
        distributed = True

        def run(
            self, function: str, items: list[list[object]], common: list[object]
        ) -> Iterator[tuple[int, object]]:
            yield 0, ["unreadable", "cannot be read: No such file or directory"]

        def close(self) -> None:
            pass

    source = open_source(folder)
    with pytest.raises(TrainworthyError, match=r"workers of the cluster cannot read a\.jpg") as raised:
        Measurer(ParquetStore(tmp_path / "kept"), Elsewhere()).measure(source, source.images())
    assert raised.value.next_step
