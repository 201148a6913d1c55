from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.command import run
from support.helpers import put, write
from support.object_store import Bucket, server
from support.pictures import encode, photo
from trainworthy_audit import auditing, certificate
from trainworthy_audit.config import Config
from trainworthy_audit.errors import DatasetError, NoDatasetError
from trainworthy_audit.measure import Measurer
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.measure.sqlite_store import SqliteStore
from trainworthy_audit.source import fetch, open_source, remote
from trainworthy_audit.source.remote import Url, parse_location
from trainworthy_audit.types import Box, Example, Picture

CAT, DOG = Box("cat", 10, 10, 60, 60), Box("dog", 70, 10, 190, 60)
BAD = Example(
    (
        Picture("a.jpg", scene=1, boxes=(CAT,)),
        Picture("b.jpg", scene=2, boxes=(DOG,)),  # out of bounds
        Picture("c.jpg", like="a.jpg", boxes=(CAT,)),
        Picture("d.jpg", scene=4, boxes=(CAT,), mangle=lambda data: data[:-2000]),
        Picture("e.jpg", scene=5, boxes=(CAT,), mangle=lambda _: b"<html>"),
    )
)
SOUND = Example((Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,))))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of an S3-compatible server of this process, with the environment that leads there."""
    with server() as (_, made):
        yield made


@pytest.fixture(scope="module")
def measurer(client: Any) -> Iterator[Measurer]:
    """One whose processes are started with the environment that leads to the server."""
    with Measurer(engine=Engine(1)) as made:
        yield made


@pytest.fixture
def store(client: Any, tmp_path: Path) -> Bucket:
    return Bucket(client, f"bucket-{abs(hash(tmp_path))}")


def findings(dataset: Path | Url, measurer: Measurer) -> tuple[list[dict[str, Any]], str]:
    """What an audit finds, and the fingerprint."""
    audit = auditing.audit(open_source(dataset), Config(), measurer)
    return audit.findings.to_dicts(), audit.fingerprint


# ------------------------------------------------------------------------------------------------------------
# The same as a folder


def test_bucket_gives_the_findings_of_a_folder(store: Bucket, tmp_path: Path, measurer: Measurer) -> None:
    """A dataset on object storage has the findings and the fingerprint of the folder it was uploaded from."""
    folder = write(BAD, tmp_path / "data")
    found = findings(folder, measurer)
    assert {row["rule"] for row in found[0]} >= {"B001", "D001", "I001", "I002"}
    assert findings(store.upload(folder), measurer) == found


def test_zip_in_a_bucket_is_read_in_place(store: Bucket, tmp_path: Path, measurer: Measurer) -> None:
    """So has a zip, of which only the pieces that are asked for are fetched; its name loses `.zip`."""
    folder = write(BAD, tmp_path / "data")
    store.put("sets/data.zip", Path(shutil.make_archive(str(tmp_path / "z"), "zip", folder)).read_bytes())
    url = parse_location(f"{store.url}/sets/data.zip")
    assert findings(url, measurer) == findings(folder, measurer)
    assert open_source(url).name == "data"


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "a%20b", "é", "写真", "a+b", "a&b=c", "a..b"])
def test_names_are_kept_as_they_are(store: Bucket, name: str) -> None:
    """Whatever a key holds, its file is listed under it and can be read."""
    store.put(f"data/{name}/{name}.txt", name.encode())
    source = open_source(Url(f"{store.url}/data"))
    assert list(source.entries) == [f"{name}/{name}.txt"]
    assert source.read(f"{name}/{name}.txt") == name.encode()


def test_empty_files_and_beginnings(store: Bucket) -> None:
    """A file can be empty, and its beginning can be asked for, or more than it has."""
    store.put("data/empty.txt", b"")
    store.put("data/full.txt", b"hello")
    source = open_source(Url(f"{store.url}/data"))
    assert [source.entries[path].size for path in source.entries] == [0, 5]
    assert (source.head("empty.txt"), source.read("empty.txt")) == (b"", b"")
    assert (source.head("full.txt", 2), source.head("full.txt", 99)) == (b"he", b"hello")


def test_hidden_files_and_archives_are_left_out(store: Bucket) -> None:
    """As in a folder, what the system leaves behind does not count, and is said."""
    for key in ("data/.DS_Store", "data/a.jpg", "data/.git/x.jpg", "data/more.zip", "database/b.jpg"):
        store.put(key, b"x")
    source = open_source(Url(f"{store.url}/data"))
    assert list(source.entries) == ["a.jpg"]
    assert len(source.notes) == 2


def test_object_that_vanished_is_unreadable(store: Bucket, measurer: Measurer) -> None:
    """An object that is gone after it was listed costs itself."""
    for name in "abc":
        store.put(f"data/{name}.png", encode(photo(ord(name), (40, 40)), "png"))
    source = open_source(Url(f"{store.url}/data"))
    store.delete("data/b.png")
    pixels = measurer.measure(source, source.images())
    assert pixels["status"].to_list() == ["ok", "unreadable", "ok"]
    assert pixels["reason"][1] == "cannot be read: No such file or directory"


# ------------------------------------------------------------------------------------------------------------
# What has changed


def nothing_to_do(_: Engine, __: str, items: list[object], ___: list[object]) -> Iterator[object]:
    """In place of `Engine.run`: fails where there is anything to read."""
    assert items == []
    return iter(())


def test_unchanged_objects_are_not_fetched_again(
    store: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing the bucket tells what has changed, by entity tag: also other bytes of the same size."""
    store.put("data/a.png", encode(photo(1, (40, 40)), "png"))
    with Measurer(SqliteStore(tmp_path / "cache"), Engine(1)) as measurer:
        first = measurer.measure(open_source(Url(f"{store.url}/data")), ["a.png"])
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "run", nothing_to_do)
            assert measurer.measure(open_source(Url(f"{store.url}/data")), ["a.png"]).equals(first)
        store.put("data/a.png", encode(photo(2, (40, 40)), "png"))
        assert (
            measurer.measure(open_source(Url(f"{store.url}/data")), ["a.png"])["digest"][0]
            != first["digest"][0]
        )


def test_where_the_store_tells_nothing_the_cache_is_not_trusted() -> None:
    """A file system without entity tags is read every time: its entries count as touched a moment ago."""
    pytest.importorskip("fsspec").filesystem("memory").pipe({"/data/a.jpg": b"x", "/data/b.txt": b"y"})
    source = open_source(Url("memory://data"))
    assert list(source.entries) == ["a.jpg", "b.txt"]
    assert source.read("b.txt") == b"y"
    assert all(entry.stamp == "" and entry.touched_ns > 2**62 for entry in source.entries.values())


def test_certificate_holds_until_an_object_changes(store: Bucket, tmp_path: Path, measurer: Measurer) -> None:
    """`verify` reads every object again: whatever the listing says, one changed byte is noticed."""
    url = store.upload(write(SOUND, tmp_path / "data"))
    proof = certificate.certify(auditing.audit(open_source(url), Config(), measurer))
    assert proof
    assert certificate.verify(open_source(url), proof).holds
    source = open_source(url)
    label = next(path for path in source.entries if path.endswith("a.txt"))
    store.put(f"data/{label}", source.read(label).replace(b"0", b"1", 1))
    assert certificate.verify(source, proof).changed == (label,)


# ------------------------------------------------------------------------------------------------------------
# The command


def test_audit_and_verify_take_a_url(store: Bucket, workplace: Path) -> None:
    """The report is named after the prefix and says the URL; `verify` then holds; waivers are looked for here."""
    url = store.upload(write(SOUND, workplace / "made"), "streets")
    result = run("audit", f"{url}/", "--workers", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads((workplace / "reports/streets/audit.json").read_text())
    assert report["dataset"]["root"] == str(url)
    verified = run("verify", url)
    assert verified.exit_code == 0
    assert f"verified: {url} is what was certified" in verified.stdout
    (workplace / "streets.waivers.toml").write_text("waivers = 1")
    assert "unknown key 'waivers'" in run("audit", url).stderr


def test_measurements_are_kept_where_asked(store: Bucket, workplace: Path) -> None:
    """With --measurements the folder has Parquet files, and a second audit finds the same."""
    url = store.upload(write(BAD, workplace / "made"))
    found = []
    for _ in range(2):
        assert run("audit", url, "--measurements", "kept", "--workers", 1).exit_code == 1
        found.append(json.loads((workplace / "reports/data/audit.json").read_text())["findings"])
    assert found[0] == found[1]
    assert len(list((workplace / "kept").glob("*.parquet"))) == 1


# ------------------------------------------------------------------------------------------------------------
# What cannot be read


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("{store}/nothing", NoDatasetError, "no files below s3://.*/nothing"),
        ("s3://no-such-bucket/x", DatasetError, r"cannot list s3://no-such-bucket/x: .*404.*NoSuchBucket"),
        ("nonsense://x/y", NoDatasetError, "no such kind of URL: nonsense://"),
    ],
    ids=["prefix", "bucket", "protocol"],
)
def test_what_is_no_dataset(store: Bucket, url: str, error: type[DatasetError], message: str) -> None:
    """A prefix without files, a bucket that is not there and an unknown protocol end in one message."""
    with pytest.raises(error, match=message) as raised:
        open_source(Url(url.format(store=store.url)))
    assert "Debug source" not in str(raised.value)


@pytest.mark.parametrize("package", ["fsspec", "obstore.fsspec"])
def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Where fsspec or obstore is not installed the message names the extra that brings it."""
    remote._files.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DatasetError, match="need an extra") as raised:
        open_source(Url("gs://bucket/data"))
    assert raised.value.next_step == "uv run --group cluster trainworthy audit URL"


def test_local_audit_needs_none_of_it(tmp_path: Path) -> None:
    """A local audit imports neither fsspec nor obstore nor Ray."""
    write(SOUND, tmp_path / "data")
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('ray', 'fsspec', 'obstore')));"
        "from trainworthy_audit.cli import main; main()"
    )
    words = [sys.executable, "-c", program, "audit", "data", "--workers", "1", "--no-cache"]
    done = subprocess.run(words, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------------------
# Places, and reading ahead


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("s3://bucket/prefix/", Url("s3://bucket/prefix")),
        ("gs://bucket", Url("gs://bucket")),
        ("file:///data/my%20set", Path("/data/my set")),
        ("data/set", Path("data/set")),
        ("C:/data", Path("C:/data")),
        ("./s3://x", Path("./s3://x")),
    ],
)
def test_places(written: str, meant: Path | Url) -> None:
    """What is a URL is one; `file://` and everything else is a path."""
    assert parse_location(written) == meant


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=20), st.integers(1, 5))
def test_reading_ahead_changes_no_bytes(order: list[int], asked: list[int], many: int) -> None:
    """In whatever order files are asked for, each comes with its own bytes, or not at all; few are held."""
    ahead = remote._Prefetcher(many)
    held: list[bytes] = []

    def read(file: bytes) -> bytes:
        held.append(file)
        return file * 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "_read", read)
        ahead.begin(b"%d" % number for number in order)
        taken = 0
        for number in asked:
            found = ahead.take(b"%d" % number)
            assert found in {None, b"%d" % number * 2}
            taken += found is not None
        assert ahead._pool
        ahead._pool.shutdown()
    assert len(held) <= many + taken


def test_files_ahead_that_cannot_be_read_raise_in_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong with a file is raised when it is asked for, and the next one is there."""

    def read(file: bytes) -> bytes:
        if file == b"s3://b/1":
            raise OSError("gone")
        return file

    monkeypatch.setattr(remote, "_read", read)
    remote.prefetch_images(
        [[b"s3://b/1", None], [b"s3://b/2", None], [b"local", None], [b"s3://b/z.zip", "member"]]
    )
    with pytest.raises(OSError, match="gone"):
        remote.read(b"s3://b/1")
    assert remote.read(b"s3://b/2") == b"s3://b/2"
    assert not remote._images.has(b"local")
    assert not remote._images.has(b"s3://b/z.zip")


def test_local_files_are_never_taken_for_urls(tmp_path: Path) -> None:
    """A local folder may be called like a URL."""
    put(tmp_path / "s3:", {"b/a.txt": b"x"})
    source = open_source(parse_location(tmp_path / "s3:"))
    assert [fetch(entry.locator) for entry in source.entries.values()] == [b"x"]
