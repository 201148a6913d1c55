from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from blake3 import blake3

from support.pictures import encode, photo
from trainworthy_audit.images.preview import Preview
from trainworthy_audit.measure import Measurer
from trainworthy_audit.measure import measurer as module
from trainworthy_audit.measure import store as stores
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.source import Source, open_source
from trainworthy_audit.types import PIXELS


@pytest.fixture(scope="module")
def measurer() -> Iterator[Measurer]:
    with Measurer(engine=Engine(2)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images: a photograph, the same again, a damaged one, and what is none."""
    made = tmp_path / "images"
    made.mkdir()
    for name, data in {
        "a.jpg": encode(photo(0, (160, 120))),
        "b.jpg": encode(photo(0, (160, 120))),
        "c.jpg": encode(photo(1, (160, 120)))[:-3000],
        "d.jpg": b"<html>",
    }.items():
        (made / name).write_bytes(data)
    return made


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.jpg")}


def nothing_to_do(_: Engine, function: str, items: list[object], common: list[object]) -> Iterator[object]:
    """In place of `Engine.run`: fails where there is anything to read."""
    assert items == []
    return iter(())


# -----------------------------------------------------------------------------------------------------------
# Rows


def test_one_row_for_each_path_in_order(measurer: Measurer, folder: Path) -> None:
    """Rows come in the order of the paths, whatever happened to the images."""
    source = open_source(folder)
    pixels = measurer.measure(source, ["d.jpg", "c.jpg", "b.jpg", "a.jpg"])
    assert pixels.schema == PIXELS
    assert pixels["image"].to_list() == [0, 1, 2, 3]
    assert pixels["status"].to_list() == ["unreadable", "damaged", "ok", "ok"]
    assert pixels["digest"][2] == pixels["digest"][3] != pixels["digest"][1]
    assert pixels["hashes"].null_count() == 1
    assert pixels["size_bytes"].to_list() == [
        (folder / name).stat().st_size for name in ("d.jpg", "c.jpg", "b.jpg", "a.jpg")
    ]


def test_no_images(measurer: Measurer, folder: Path) -> None:
    """No paths give no rows, with all columns."""
    pixels = measurer.measure(open_source(folder), [])
    assert (pixels.height, pixels.schema) == (0, PIXELS)


def test_nothing_of_the_users_is_touched(measurer: Measurer, folder: Path) -> None:
    """Measuring and drawing leave the bytes and times of every file, and add none."""
    before = snapshot(folder)
    source = open_source(folder)
    measurer.measure(source, source.images())
    measurer.previews(source, source.images(), 100)
    assert snapshot(folder) == before
    assert len(list(folder.iterdir())) == 4


def test_images_in_a_zip(measurer: Measurer, folder: Path, tmp_path: Path) -> None:
    """A zip's members measure as the files do."""
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"images/{path.name}")
    zipped, plain = open_source(tmp_path / "set.zip"), open_source(folder)
    assert measurer.measure(zipped, zipped.images()).equals(measurer.measure(plain, plain.images()))


def test_file_that_vanished_is_unreadable(measurer: Measurer, folder: Path) -> None:
    """A file that cannot be read any more costs itself."""
    source = open_source(folder)
    (folder / "b.jpg").unlink()
    pixels = measurer.measure(source, source.images())
    assert pixels["status"].to_list() == ["ok", "unreadable", "damaged", "unreadable"]
    assert pixels["reason"][1] == "cannot be read: No such file or directory"
    assert pixels["digest"][1] is None


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("segfault", "the decoder crashed on this image (SIGSEGV)"),
        ("exit", "the decoder crashed on this image (exit code 3)"),
        ("hang", "the decoder hung on this image: no result after 1 s"),
        ("allocate", "the decoder ran out of memory on this image"),
        ("raise", "RuntimeError: no such luck"),
    ],
)
def test_decoder_that_fails_costs_only_its_image(
    folder: Path, monkeypatch: pytest.MonkeyPatch, order: str, reason: str
) -> None:
    """A crash, a hang and too much memory are each an unreadable image with its digest; the others are measured."""
    monkeypatch.setattr(module, "MEASURE", "support.kernels_that_fail:measure_or_fail")
    data = encode(photo(5, (160, 120))) + b"\n" + order.encode()
    (folder / "bb.jpg").write_bytes(data)
    source = open_source(folder)
    with Measurer(engine=Engine(2, timeout=1)) as measurer:
        pixels = measurer.measure(source, source.images())
    assert pixels["status"].to_list() == ["ok", "ok", "unreadable", "damaged", "unreadable"]
    assert pixels["reason"][2] == reason
    assert pixels["digest"][2] == blake3(data).hexdigest()
    assert (pixels["format"][2], pixels["size_bytes"][2]) == ("jpeg", len(data))


def test_progress_reaches_the_total(folder: Path) -> None:
    """Progress starts at what is known already, never falls, and ends at the number of images."""
    told: list[tuple[int, int]] = []
    source = open_source(folder)
    with Measurer(engine=Engine(1), progress=lambda done, total: told.append((done, total))) as measurer:
        measurer.measure(source, source.images())
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    assert told == sorted(told)


def test_one_measurer_serves_many_datasets(measurer: Measurer, tmp_path: Path) -> None:
    """A hundred tiny datasets in a row use the same few processes."""
    pids = set()
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.png").write_bytes(encode(photo(number, (20, 20)), "png"))
        assert measurer.measure(open_source(folder), ["a.png"])["status"].to_list() == ["ok"]
        pids |= {worker.process.pid for worker in measurer.engine._idle}
    assert 1 <= len(pids) <= 2


# -----------------------------------------------------------------------------------------------------------
# The cache


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files just written count as if they had been written long ago."""
    monkeypatch.setattr(stores, "RACY", -(10**15))


def audit(folder: Path, cache: Path) -> tuple[pl.DataFrame, Source]:
    source = open_source(folder)
    with Measurer(SqliteStore(cache), Engine(1)) as measurer:
        return measurer.measure(source, source.images()), source


@pytest.mark.usefixtures("settled")
def test_unchanged_files_are_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second audit gives the same rows and thumbnails without opening a file."""
    first, source = audit(folder, tmp_path / "cache")
    monkeypatch.setattr(Engine, "run", nothing_to_do)
    with Measurer(SqliteStore(tmp_path / "cache")) as measurer:
        assert measurer.measure(source, source.images()).equals(first)
        assert measurer.thumbnails([first["digest"][0]]).any()


@pytest.mark.usefixtures("settled")
def test_changed_file_is_measured_again(folder: Path, tmp_path: Path) -> None:
    """Other bytes with the same size and modification time are noticed."""
    first, _ = audit(folder, tmp_path / "cache")
    path = folder / "a.jpg"
    times = path.stat().st_mtime_ns
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(times, times))
    second, _ = audit(folder, tmp_path / "cache")
    assert second["digest"][0] != first["digest"][0]
    assert second["digest"][1] == first["digest"][1]


def test_copies_of_known_files_are_not_decoded_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that was copied elsewhere is read, but none of its images is decoded."""
    first, _ = audit(folder, tmp_path / "cache")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    answers = []
    run = Engine.run

    def listen(*arguments: object) -> Iterator[object]:
        for answer in run(*arguments):
            answers.append(answer[1])
            yield answer

    monkeypatch.setattr(Engine, "run", listen)
    second, _ = audit(copy, tmp_path / "cache")
    assert second.equals(first)
    assert sorted(answers) == sorted(first["digest"])


def test_measurement_that_vanishes_from_the_cache_is_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another audit removes what a worker has just found in the cache, the image is measured."""
    first, _ = audit(folder, tmp_path / "cache")
    monkeypatch.setattr(SqliteStore, "measurements", lambda *_: {})
    second, _ = audit(folder, tmp_path / "cache")
    assert second.equals(first)


@pytest.mark.usefixtures("settled")
def test_what_was_measured_before_ctrl_c_is_kept(folder: Path, tmp_path: Path) -> None:
    """An interrupted audit is not started from nothing."""
    source = open_source(folder)

    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        Measurer(SqliteStore(tmp_path / "cache"), Engine(1), progress=interrupt) as measurer,
    ):
        measurer.measure(source, source.images())
    told: list[int] = []
    with Measurer(
        SqliteStore(tmp_path / "cache"), Engine(1), progress=lambda done, _: told.append(done)
    ) as measurer:
        measurer.measure(source, source.images())
    assert told[0] == 2


def test_crash_is_not_remembered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What crashed once is tried again by the next audit."""
    (folder / "a.jpg").write_bytes(encode(photo(5, (160, 120))) + b"\nexit")
    with monkeypatch.context() as patch:
        patch.setattr(module, "MEASURE", "support.kernels_that_fail:measure_or_fail")
        first, _ = audit(folder, tmp_path / "cache")
    second, _ = audit(folder, tmp_path / "cache")
    assert (first["status"][0], second["status"][0]) == ("unreadable", "ok")


def test_cache_that_cannot_be_used_is_said(folder: Path, tmp_path: Path) -> None:
    """Where no cache can be made the audit says so, and measures all the same."""
    (tmp_path / "file").write_text("in the way")
    source = open_source(folder)
    with Measurer(SqliteStore(tmp_path / "file"), Engine(1)) as measurer:
        assert measurer.measure(source, source.images())["status"][0] == "ok"
        assert len(measurer.notes) == 1


# -----------------------------------------------------------------------------------------------------------
# Thumbnails and pictures


def test_thumbnails_are_the_images_in_small(measurer: Measurer, folder: Path) -> None:
    """One 64 x 64 grey image a digest, in order, repeats included; black for what has none."""
    source = open_source(folder)
    pixels = measurer.measure(source, source.images())
    digests = pixels["digest"].to_list()
    thumbnails = measurer.thumbnails([digests[2], digests[0], digests[0], digests[3]])
    assert (thumbnails.shape, thumbnails.dtype) == ((4, 64, 64), np.uint8)
    assert (thumbnails[1] == thumbnails[2]).all()
    assert not thumbnails[3].any()
    wanted = np.asarray(photo(0, (160, 120)).convert("L").resize((64, 64))).astype(float)
    assert np.corrcoef(thumbnails[1].ravel(), wanted.ravel())[0, 1] > 0.95


def test_no_thumbnails(measurer: Measurer) -> None:
    """No digests give an empty stack."""
    assert measurer.thumbnails([]).shape == (0, 64, 64)


def test_thumbnail_that_vanishes_from_the_cache_is_made_again(folder: Path) -> None:
    """Another audit may push thumbnails out of a shared cache."""
    source = open_source(folder)
    with Measurer(engine=Engine(1)) as measurer:
        digest = measurer.measure(source, ["a.jpg"])["digest"][0]
        before = measurer.thumbnails([digest])
        measurer.store._db.execute("DELETE FROM thumbnails")
        assert (measurer.thumbnails([digest]) == before).all()


def test_pictures_for_the_report(measurer: Measurer, folder: Path) -> None:
    """Each path has a JPEG of at most the side asked for with its scale, damaged ones too, or None."""
    source = open_source(folder)
    shots = measurer.previews(source, source.images(), 80)
    assert list(shots) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shot = shots[name]
        assert isinstance(shot, Preview)
        assert shot.jpeg.startswith(b"\xff\xd8")
        assert (shot.width, shot.height, shot.scale) == (80, 60, 0.5)
    assert shots["d.jpg"] is None
    large = measurer.previews(source, ["a.jpg"], 1000)["a.jpg"]
    assert large
    assert (large.width, large.scale) == (160, 1)


def test_pictures_are_remembered_by_content(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next audit draws only what has changed, and what is asked for at another size."""
    source = open_source(folder)
    with Measurer(SqliteStore(tmp_path / "cache"), Engine(1)) as measurer:
        measurer.measure(source, source.images())
        drawn = measurer.previews(source, ["a.jpg", "b.jpg"], 80)
    (folder / "b.jpg").write_bytes(encode(photo(77, (160, 120))))
    source = open_source(folder)
    with Measurer(SqliteStore(tmp_path / "cache"), Engine(1)) as measurer:
        measurer.measure(source, source.images())
        run, asked = measurer.engine.run, []

        def watched(function: str, items: Any, common: Any = ()) -> Any:
            asked.extend(item.file for item in items)
            return run(function, items, common)

        monkeypatch.setattr(measurer.engine, "run", watched)
        again = measurer.previews(source, ["a.jpg", "b.jpg"], 80)
        assert [Path(os.fsdecode(name)).name for name in asked] == ["b.jpg"]
        assert measurer.previews(source, ["a.jpg"], 40)["a.jpg"] != drawn["a.jpg"]
    assert again["a.jpg"] == drawn["a.jpg"]
    assert again["b.jpg"] not in (None, drawn["b.jpg"])


def test_decoder_that_crashes_on_a_picture_costs_only_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has no picture of an image that crashes the decoder, and all others."""
    monkeypatch.setattr(module, "PREVIEW", "support.kernels_that_fail:preview_or_fail")
    (folder / "b.jpg").write_bytes(encode(photo(5, (160, 120))) + b"\nsegfault")
    source = open_source(folder)
    with Measurer(engine=Engine(1)) as measurer:
        shots = measurer.previews(source, source.images(), 80)
    assert [name for name, shot in shots.items() if shot is None] == ["b.jpg", "d.jpg"]


def test_relative_path_means_the_same_to_processes_that_stand_in_another_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes started in one folder read the images of a dataset that is named from within another one."""
    with Measurer(engine=Engine(1)) as measurer:
        measurer.measure(open_source(folder), ["a.jpg"])
        (tmp_path / "elsewhere/data").mkdir(parents=True)
        (tmp_path / "elsewhere/data/new.jpg").write_bytes(encode(photo(77)))
        monkeypatch.chdir(tmp_path / "elsewhere")
        found = measurer.measure(open_source(Path("data")), ["new.jpg"])
    assert found["status"].to_list() == ["ok"]
