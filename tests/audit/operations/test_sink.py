"""New datasets are complete or absent, and never touch what is there already."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.helpers import put
from trainworthy_audit.errors import DatasetError, OutputError
from trainworthy_audit.operations import sink as sinks
from trainworthy_audit.operations.sink import FolderSink, Sink, ZipSink, open_sink
from trainworthy_audit.source import open_source

KINDS = [pytest.param(FolderSink, "new", id="folder"), pytest.param(ZipSink, "new.zip", id="zip")]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder that is read."""
    return put(tmp_path / "old", {"a.jpg": b"picture" * 1000, "b/c.txt": b"text"})


def names(out: Path) -> dict[str, bytes]:
    """The files of a new folder or zip."""
    if out.is_dir():
        found = (path for path in out.rglob("*") if path.is_file())
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}
    with zipfile.ZipFile(out) as made:
        return {name: made.read(name) for name in made.namelist()}


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_everything_is_there_at_the_end_and_nothing_before(
    kind: type[Sink], name: str, tmp_path: Path, old: Path
) -> None:
    """Files that were written and copied stand under their names once the sink has finished, not earlier."""
    out = tmp_path / "deeper" / "still" / name
    source = open_source(old)
    with kind(out, [source]) as sink:
        sink.write("labels/a.txt", b"0 1")
        sink.copy(source, "a.jpg", "images/a.jpg")
        sink.copy(source, "b/c.txt", "c.txt")
        sink.write_changes(b"{}")
        assert not out.exists()
    expected = {"labels/a.txt": b"0 1", "images/a.jpg": b"picture" * 1000, "c.txt": b"text"}
    if kind is FolderSink:
        expected["changes.json"] = b"{}"
    assert names(out) == expected
    assert sink.changes_file.read_bytes() == b"{}"
    beside = set() if kind is FolderSink else {"new.changes.json"}
    assert {path.name for path in out.parent.iterdir()} == {name} | beside


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_files_come_out_of_a_zip(kind: type[Sink], name: str, tmp_path: Path) -> None:
    """A member of a zip is copied like a file of a folder."""
    with zipfile.ZipFile(tmp_path / "old.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.jpg", b"picture")
    source = open_source(tmp_path / "old.zip")
    with open_sink(tmp_path / name, [source], zipped=kind is ZipSink) as sink:
        sink.copy(source, "a.jpg", "x.jpg")
    assert names(tmp_path / name) == {"x.jpg": b"picture"}


def test_a_copy_is_no_link(tmp_path: Path, old: Path) -> None:
    """Writing to the copy leaves the original as it was."""
    source = open_source(old)
    with FolderSink(tmp_path / "new", [source]) as sink:
        sink.copy(source, "a.jpg", "a.jpg")
    (tmp_path / "new" / "a.jpg").write_bytes(b"edited")
    assert (old / "a.jpg").read_bytes() == b"picture" * 1000


@pytest.mark.parametrize("without", [(), ("_share",), ("_share", "copy_file_range")])
def test_every_way_of_copying_copies_all(
    without: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By shared blocks, within the kernel, and by reading and writing; large and empty files alike."""
    if "_share" in without:
        monkeypatch.setattr(sinks, "_share", lambda *_: False)
    if "copy_file_range" in without:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    data = os.urandom(3 * 2**20 + 17)
    source = open_source(put(tmp_path / "old", {"a.jpg": data, "empty.jpg": b""}))
    with FolderSink(tmp_path / "new", [source]) as sink:
        sink.copy(source, "a.jpg", "a.jpg")
        sink.copy(source, "empty.jpg", "empty.jpg")
    assert names(tmp_path / "new") == {"a.jpg": data, "empty.jpg": b""}


# ------------------------------------------------------------------------------------------------------------
# Interruptions


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_an_interruption_leaves_nothing(kind: type[Sink], name: str, tmp_path: Path, old: Path) -> None:
    """Ctrl-C in the middle: neither the output nor anything of it, and no empty folder that led to it."""
    source = open_source(old)

    def work() -> None:
        with kind(tmp_path / "way" / name, [source]) as sink:
            sink.copy(source, "a.jpg", "a.jpg")
            interrupted()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


@pytest.mark.parametrize("failing", [full, interrupted])
@pytest.mark.parametrize("step", ["write", "copy", "finish"])
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_full_disk_leaves_nothing(
    kind: type[Sink],
    name: str,
    step: str,
    failing: Callable[..., None],
    tmp_path: Path,
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever step fails, and however: no output is left, and a full disk is told as such."""
    source = open_source(old)
    targets = {
        (FolderSink, "write"): (Path, "write_bytes"),
        (FolderSink, "copy"): (sinks, "_copy"),
        (FolderSink, "finish"): (Path, "rename"),
        (ZipSink, "write"): (zipfile.ZipFile, "writestr"),
        (ZipSink, "copy"): (zipfile.ZipFile, "writestr"),
        (ZipSink, "finish"): (zipfile.ZipFile, "_write_end_record"),  # what closing writes; it closes even so
    }
    expected = OutputError if failing is full else KeyboardInterrupt

    def work() -> None:
        with kind(tmp_path / name, [source]) as sink:
            sink.write("first.txt", b"first")
            monkeypatch.setattr(*targets[kind, step], failing)
            if step == "copy":
                sink.copy(source, "a.jpg", "a.jpg")
            elif step == "write":
                sink.write("second.txt", b"second")

    with pytest.raises(expected) as caught:
        work()
    if failing is full:
        assert "No space left on device" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


CHILD = """
    import os, resource, signal, sys
    from pathlib import Path
    from trainworthy_audit.errors import OutputError
    from trainworthy_audit.operations.sink import open_sink

    out, how = Path(sys.argv[1]), sys.argv[2]
    if how == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        with open_sink(out, [], zipped=out.suffix == ".zip") as sink:
            sink.write("a.bin", os.urandom(10_000))
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            sink.write("b.bin", os.urandom(100_000))
    except OutputError as error:
        print(error)
"""


def child(out: Path, how: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(CHILD)
    return subprocess.run(
        [sys.executable, "-c", code, str(out), how], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_a_killed_process_leaves_only_its_temporary_name(name: str, tmp_path: Path) -> None:
    """Even kill -9 leaves no folder or zip that looks whole."""
    assert child(tmp_path / name, "kill").returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(f".{name}.trainworthy-")


@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_a_file_that_the_system_does_not_let_grow_leaves_nothing(name: str, tmp_path: Path) -> None:
    """A real refusal of the kernel in the middle of a write, as a full disk or a quota gives it."""
    ended = child(tmp_path / name, "limit")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"cannot write {tmp_path / name}: File too large")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------
# What is there already


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    """A folder made beforehand, with nothing in it, becomes the new dataset."""
    (tmp_path / "new").mkdir()
    with FolderSink(tmp_path / "new") as sink:
        sink.write("a.txt", b"1")
    assert names(tmp_path / "new") == {"a.txt": b"1"}


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_appears_in_the_meantime_is_not_overwritten(kind: type[Sink], name: str, tmp_path: Path) -> None:
    """Another process writes to the same place while this one works: its files stay, and this one gives up."""
    out = tmp_path / name

    def work() -> None:
        with kind(out) as sink:
            sink.write("a.txt", b"mine")
            put(out, {"a.txt": "theirs"}) if kind is FolderSink else out.write_bytes(b"theirs")

    with pytest.raises(OutputError):
        work()
    assert (out / "a.txt" if kind is FolderSink else out).read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("out", ["old", "old/new", "old/../old/x", ".", "link/new", "mine"])
def test_places_that_hold_something_are_refused(out: str, tmp_path: Path, old: Path) -> None:
    """The dataset, a place in it, also through a link, a folder around it, and a folder with files in it."""
    (tmp_path / "link").symlink_to(old)
    put(tmp_path / "mine", {"notes.txt": "mine"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError):
        FolderSink(tmp_path / out, [open_source(old)])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    """The same name for in and out is refused."""
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as made:
        made.writestr("a.jpg", b"picture")
    with pytest.raises(OutputError):
        ZipSink(tmp_path / "old.zip", [open_source(tmp_path / "old.zip")])


def test_what_a_killed_process_left_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container every process may have the same number: its successor writes all the same."""
    monkeypatch.setattr(sinks.os, "getpid", lambda: 7)
    abandoned = FolderSink(tmp_path / "new")
    with FolderSink(tmp_path / "new") as sink:
        sink.write("a.txt", b"1")
    assert names(tmp_path / "new") == {"a.txt": b"1"}
    abandoned.abort()


def test_a_list_of_changes_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    """The changes.json of a zip that was moved elsewhere stays what it is."""
    put(tmp_path, {"new.changes.json": "mine"})
    with pytest.raises(OutputError, match=r"new\.changes\.json exists already"):
        ZipSink(tmp_path / "new.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["new.changes.json"]


def test_a_source_that_vanishes_is_told_as_such(tmp_path: Path, old: Path) -> None:
    """What cannot be read is the dataset's error, not the output's, and leaves nothing."""
    source = open_source(old)
    (old / "a.jpg").unlink()
    with (
        pytest.raises(DatasetError, match=r"cannot read a\.jpg"),
        FolderSink(tmp_path / "new", [source]) as sink,
    ):
        sink.copy(source, "a.jpg", "a.jpg")
    assert not (tmp_path / "new").exists()


def test_equal_datasets_make_equal_zips(tmp_path: Path) -> None:
    """A zip holds no time of writing."""
    for name in ("a.zip", "b.zip"):
        with ZipSink(tmp_path / name) as sink:
            sink.write("a.txt", b"1")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
