from __future__ import annotations

import lzma
import os
import socket
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.errors import BadArchiveError, DatasetError, NoDatasetError
from trainworthy_audit.source import Source, fetch, open_annotations, open_dataset, open_source
from trainworthy_audit.source.text import decode_text, numbered_lines

XML = (
    b"<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    b"</object></annotation>"
)
DATASET = {"JPEGImages/a.jpg": b"picture", "Annotations/a.xml": XML}


def pack(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def paths(root: Path) -> list[str]:
    return list(open_source(root).entries)


# ---------------------------------------------------------------------------------------------------------
# What cannot be opened


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda _: None, NoDatasetError, "no such folder or zip"),
        (lambda path: path.write_bytes(b"hello"), NoDatasetError, "is a file, not a folder or zip"),
        (lambda path: path.symlink_to(path), DatasetError, "Too many levels of symbolic links"),
        (os.mkfifo, NoDatasetError, "is a file, not a folder or zip"),
    ],
    ids=["missing", "file", "link to itself", "pipe"],
)
def test_what_is_no_dataset(tmp_path: Path, make: Any, error: type[DatasetError], message: str) -> None:
    """A missing path, a file, a circular link and a pipe end in a message with a next step, and never block."""
    path = tmp_path / "data"
    make(path)
    with pytest.raises(error, match=message):
        open_source(path)


def test_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the dataset itself it is an error; of a folder inside, what is told of the dataset."""
    put(tmp_path, {"open/a.jpg": b"", "shut/b.jpg": b""})
    scandir = os.scandir

    def refuse(folder: bytes) -> Any:
        if folder.endswith(refused):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = b"shut"
    source = open_source(tmp_path)
    assert list(source.entries) == ["open/a.jpg"]
    assert source.unopened == (("shut", "the folder cannot be listed: Permission denied"),)
    refused = os.fsencode(tmp_path)
    with pytest.raises(DatasetError, match=r"cannot list .*: Permission denied"):
        open_source(tmp_path)


# ---------------------------------------------------------------------------------------------------------
# Folders


def test_files_are_listed_with_their_bytes(tmp_path: Path) -> None:
    """Sorted by path, each with size and bytes; reading remembers the digest of what was read."""
    source = open_source(put(tmp_path, {"b/x.txt": b"hello", "a.JPG": b"picture"}))
    assert list(source.entries) == ["a.JPG", "b/x.txt"]
    assert source.images() == ["a.JPG"]
    assert source.folders() == {"", "b"}
    assert source.below("b") == ["b/x.txt"]
    assert source.read("b/x.txt") == b"hello"
    assert source.head("b/x.txt", 2) == b"he"
    assert source.digests == {"b/x.txt": blake3(b"hello").hexdigest()}
    with pytest.raises(OSError, match="5 bytes, more than the 4"):
        source.read("b/x.txt", 4)


@pytest.mark.parametrize(
    "name",
    [
        "with space.jpg",
        "tab\tname.jpg",
        "new\nline.jpg",
        "写真.jpg",
        "e\u0301.jpg",
        "%20.jpg",
        "a\\b.jpg",
        "A.JPG",
    ],
)
def test_names_are_kept_as_they_are(tmp_path: Path, name: str) -> None:
    """Whatever a name holds, its file is listed under it and can be read."""
    source = open_source(put(tmp_path, {name: b"x"}))
    assert list(source.entries) == [name]
    assert source.read(name) == b"x"


def test_names_that_are_not_utf8_are_shown_and_read(tmp_path: Path) -> None:
    r"""Foreign bytes in a name appear as \xNN; the file's own spelling opens it."""
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    source = open_source(tmp_path)
    assert list(source.entries) == ["caf\\xe9.jpg"]
    assert source.read("caf\\xe9.jpg") == b"x"


def test_hidden_and_backup_files_are_left_out(tmp_path: Path) -> None:
    """What the system and editors leave behind does not count, and is said once."""
    noise = [
        ".DS_Store",
        "__MACOSX/._a.jpg",
        "a.txt~",
        "Thumbs.db",
        ".git/config",
        ".git/x/y.jpg",
        "x/.hidden/b.jpg",
    ]
    source = open_source(put(tmp_path, {"a.jpg": b""} | dict.fromkeys(noise, b"")))
    assert list(source.entries) == ["a.jpg"]
    assert len(source.notes) == 1
    assert "6 hidden, backup or system files or folders" in source.notes[0]


def test_linked_folder_is_followed(tmp_path: Path) -> None:
    """`images` may be a link to a folder elsewhere, of which images alone are read; links within are just links."""
    put(tmp_path / "elsewhere", {"a.jpg": b"x", "secret.txt": b"pin 1234", ".b.jpg": b""})
    root = put(tmp_path / "data", {"labels/a.txt": b"", "pool/c.jpg": b"y"})
    (root / "images").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(root / "pool")
    (root / "d.jpg").symlink_to(root / "pool/c.jpg")
    source = open_source(root)
    assert list(source.entries) == ["again/c.jpg", "d.jpg", "images/a.jpg", "labels/a.txt", "pool/c.jpg"]
    assert source.read("images/a.jpg") == b"x"
    assert any("1 files other than images in folders outside" in note for note in source.notes)


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link to a file outside, from beyond a linked folder, or to a folder around the dataset is named, not read."""
    put(tmp_path, {"private/key.txt": b"secret", "private/me.jpg": b"secret", "far/x.jpg": b"x"})
    root = put(tmp_path / "data", {"images/a.jpg": b"", "labels/a.txt": b""})
    (root / "labels/b.txt").symlink_to(tmp_path / "private/key.txt")
    (root / "images/b.jpg").symlink_to("../../private/me.jpg")
    (root / "pictures").symlink_to(tmp_path / "far")
    (tmp_path / "far/deep").symlink_to(tmp_path / "private")
    (tmp_path / "far/y.jpg").symlink_to(tmp_path / "private/me.jpg")
    (root / "everything").symlink_to(tmp_path)
    source = open_source(root)
    assert list(source.entries) == ["images/a.jpg", "labels/a.txt", "pictures/x.jpg"]
    [note] = [note for note in source.notes if "links that leave the dataset's folder" in note]
    assert "Left out, 5 links" in note
    assert "--follow-links" in note
    followed = open_source(root, follow_links=True)
    assert {"labels/b.txt", "images/b.jpg", "pictures/deep/key.txt"} <= followed.entries.keys()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """A link to a folder above it is left out; a maze of links between folders is not walked for ever."""
    root = put(tmp_path / "data", {"x/a.jpg": b""})
    (root / "x/up").symlink_to(root)
    (root / "x/self").symlink_to(root / "x/self")
    source = open_source(root)
    assert list(source.entries) == ["x/a.jpg"]
    assert any("go round in a circle: x/up" in note for note in source.notes)
    maze = tmp_path / "maze"
    for name in "abcdefgh":
        put(maze, {f"{name}/{name}.jpg": b""})
    for one in "abcdefgh":
        for other in "abcdefgh":
            (maze / one / f"to_{other}").symlink_to(maze / other)
    assert set("abcdefgh") <= {path[0] for path in paths(maze)}


def test_dead_links_and_devices_are_left_out(tmp_path: Path) -> None:
    """Dead links, pipes and sockets are named; none is opened, so none can block."""
    put(tmp_path, {"a.jpg": b""})
    (tmp_path / "dead.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "pipe.jpg")
    here = Path.cwd()
    os.chdir(tmp_path)  # the path of a socket is limited to about 100 bytes
    try:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.bind("plug.jpg")
            source = open_source(tmp_path)
    finally:
        os.chdir(here)
    assert list(source.entries) == ["a.jpg"]
    assert source.notes == (
        "Left out, 1 links that lead nowhere: dead.jpg.",
        "Left out, 3 pipes, sockets or devices: linked.jpg, pipe.jpg, plug.jpg.",
    )


def test_file_that_vanishes_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A file that is gone when it is read raises OSError, as readers expect."""
    source = open_source(put(tmp_path, {"a.txt": b"x"}))
    (tmp_path / "a.txt").unlink()
    with pytest.raises(FileNotFoundError):
        source.read("a.txt")


# ---------------------------------------------------------------------------------------------------------
# Zips that are read


@pytest.mark.parametrize("prefix", ["", "parent/", "./", "a/b/"])
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_is_read_in_place(tmp_path: Path, prefix: str, method: int) -> None:
    """With the folders at its top or below a parent, in every usual compression."""
    path = pack(
        tmp_path / "data.zip", {prefix + name: data for name, data in DATASET.items()}, compression=method
    )
    source = open_source(path)
    assert (source.zipped, source.name) == (True, "data")
    dataset = formats.read(source)
    assert (dataset.format, dataset.images.height, dataset.boxes.height) == ("voc", 1, 1)
    assert source.read(dataset.images["path"][0]) == b"picture"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.zip"]


def test_names_with_backslashes_are_folders(tmp_path: Path) -> None:
    """Zips of some Windows tools use '\\' between folders; folder members are no files."""
    files = {"data\\": b"", "data\\JPEGImages\\a.jpg": b"x", "data\\Annotations\\a.xml": XML}
    source = open_source(pack(tmp_path / "data.zip", files))
    assert list(source.entries) == ["data/Annotations/a.xml", "data/JPEGImages/a.jpg"]
    assert formats.read(source).boxes.height == 1


def test_utf8_names_without_the_flag(tmp_path: Path) -> None:
    """Names that are UTF-8 are read as UTF-8, flagged or not; others as code page 437."""
    packed = pack(tmp_path / "a.zip", {"写真.jpg": b"x", "é.jpg": b"y"})
    data = packed.read_bytes()
    plain = tmp_path / "b.zip"
    plain.write_bytes(data.replace(struct.pack("<H", 0x800) + b"\x00\x00", b"\x00\x00\x00\x00"))
    dos = tmp_path / "c.zip"
    dos.write_bytes(pack(tmp_path / "d.zip", {"AA.jpg": b"z"}).read_bytes().replace(b"AA.jpg", b"\x82A.jpg"))
    assert paths(packed) == paths(plain) == ["é.jpg", "写真.jpg"]
    assert open_source(plain).read("写真.jpg") == b"x"
    assert paths(dos) == ["éA.jpg"]
    assert open_source(dos).read("éA.jpg") == b"z"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_read_the_last(tmp_path: Path) -> None:
    """As unpacking would leave it; it is said."""
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "first")
        archive.writestr("a.txt", "second")
        archive.writestr("b\\c.txt", "first")
        archive.writestr("b/c.txt", "second")
    source = open_source(path)
    assert [source.read(name) for name in source.entries] == [b"second", b"second"]
    assert "stands more than once in the zip: a.txt, b/c.txt." in source.notes[0]


def test_noise_links_and_archives_in_a_zip_are_left_out(tmp_path: Path) -> None:
    """macOS's shadow files, symbolic links and zips inside are not the dataset's files."""
    path = pack(tmp_path / "data.zip", {"__MACOSX/a.jpg": b"", ".DS_Store": b"", "in.zip": b"", "a.jpg": b""})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    source = open_source(path)
    assert list(source.entries) == ["a.jpg"]
    assert sorted(note.partition(":")[0] for note in source.notes) == [
        "Left out, 1 archives inside, which are not opened",
        "Left out, 1 links in the zip",
        "Left out, 2 hidden, backup or system files or folders",
    ]


def test_zip64(tmp_path: Path) -> None:
    """A zip in the large-file form is read like any other."""
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"hello")
    assert open_source(path).read("a.txt") == b"hello"


def test_zip_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """A new zip under the old name shows its own bytes."""
    path = pack(tmp_path / "data.zip", {"a.txt": b"old"})
    assert open_source(path).read("a.txt") == b"old"
    pack(path, {"a.txt": b"newer"})
    assert open_source(path).read("a.txt") == b"newer"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_zip_is_read_in_a_forked_process_too(tmp_path: Path) -> None:
    """A child does not share the parent's position in the file."""
    path = pack(tmp_path / "data.zip", {f"{n}.txt": str(n).encode() * 9999 for n in range(9)})
    source = open_source(path)
    with zipfile.ZipFile(path) as archive:
        expected = {name: archive.read(name) for name in archive.namelist()}
    child = os.fork()
    found = {name: fetch(entry.locator) for _ in range(20) for name, entry in source.entries.items()}
    if child == 0:
        os._exit(0 if found == expected else 1)
    assert found == expected
    assert os.waitpid(child, 0)[1] == 0


# ---------------------------------------------------------------------------------------------------------
# Zips that are damaged or hostile


def test_members_that_would_leave_the_folder_are_never_read(tmp_path: Path) -> None:
    """Climbing, absolute and drive paths are kept apart, and reach the rules of every format."""
    bad = ["../evil.jpg", "a/../../evil.xml", "/etc/passwd", "..\\evil.jpg", "C:\\evil.jpg"]
    source = open_source(pack(tmp_path / "data.zip", DATASET | dict.fromkeys(bad, b"x")))
    assert list(source.entries) == sorted(DATASET)
    shown = ["../evil.jpg", "a/../../evil.xml", "/etc/passwd", "../evil.jpg", "C:/evil.jpg"]
    assert list(source.escapes) == shown
    references = formats.read(source).references.filter(kind="member")
    assert references.select("source", "written", "image", "outside").rows() == [
        (p, p, None, True) for p in shown
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable zip"),
        (b"hello, I am no zip", "not a readable zip"),
        (b"PK\x05\x06" + b"\xff" * 18, "readable zip|cannot open the zip"),
        (b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 9, 9, 999, 999, 0), "cannot open the zip"),
    ],
)
def test_broken_zips(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no zip, or has a broken directory, ends in a message and the command that checks it."""
    path = tmp_path / "my data.zip"
    path.write_bytes(content)
    with pytest.raises(BadArchiveError, match=message) as caught:
        open_source(path)
    assert caught.value.next_step == f"unzip -t '{path}'"


def test_truncated_zip(tmp_path: Path) -> None:
    """Cut short at any place, a zip says so."""
    whole = pack(tmp_path / "whole.zip", DATASET).read_bytes()
    path = tmp_path / "data.zip"
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(BadArchiveError):
            open_source(path)


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    """A zip that claims far more than it holds is not read."""
    path = pack(
        tmp_path / "data.zip", {f"{n}.txt": bytes(2**20) for n in range(2)}, compression=zipfile.ZIP_DEFLATED
    )
    data = path.read_bytes()
    claim = struct.pack("<L", 2**20)
    path.write_bytes(data.replace(claim, struct.pack("<L", 2**31)))
    with pytest.raises(BadArchiveError, match=r"(?s)looks like a zip bomb.*4,294,967,296.*Nothing was read"):
        open_source(path)


def test_well_compressed_labels_are_no_bomb(tmp_path: Path) -> None:
    """Text may shrink a thousandfold as long as the whole stays small."""
    path = pack(tmp_path / "data.zip", {"a.txt": bytes(2**22)}, compression=zipfile.ZIP_DEFLATED)
    assert len(open_source(path).read("a.txt")) == 2**22


def encrypt(path: Path, count: int) -> None:
    """Set the flag 'encrypted' of the first members."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        for _ in range(count):
            at = data.index(mark, at + 1)
            data[at + offset] |= 1
    path.write_bytes(data)


def test_encrypted_zip(tmp_path: Path) -> None:
    """A zip with a password is refused; a single encrypted member is unread, and the rest is read."""
    path = pack(tmp_path / "data.zip", {"a.xml": XML, "a.jpg": b"", "b.jpg": b"", "b.xml": XML})
    encrypt(path, 1)
    dataset = formats.read(open_source(path))
    assert dataset.unread["annotation"].to_list() == ["a.xml"]
    assert "password" in dataset.unread["reason"][0]
    assert dataset.boxes.height == 1
    encrypt(path, 4)
    with pytest.raises(BadArchiveError, match="is encrypted"):
        open_source(path)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damaged_member_raises_oserror(tmp_path: Path, method: int) -> None:
    """Whatever a decompressor says about damaged bytes, it is one kind of error."""
    path = pack(tmp_path / "data.zip", {"a.txt": bytes(range(256)) * 40}, compression=method)
    source = open_source(path)
    member = zipfile.ZipFile(path).getinfo("a.txt")
    data = bytearray(path.read_bytes())
    middle = 35 + member.compress_size // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(OSError, match="the zip member cannot be read"):
        source.read("a.txt")


def test_unknown_compression_raises_oserror(tmp_path: Path) -> None:
    """A method that Python does not know costs the member, not the run."""
    path = pack(tmp_path / "data.zip", {"a.txt": b"x"})
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"PK\x03\x04\x14\x00\x00\x00\x00", b"PK\x03\x04\x14\x00\x00\x00\x09").replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x09"
        )
    )
    with pytest.raises(OSError, match="the zip member cannot be read"):
        open_source(path).read("a.txt")


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_zip_never_raises_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes of a zip are changed, it is refused, or its members are read or refused one by one."""
    path = pack(tmp_path / "data.zip", DATASET, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        source = open_source(path)
    except DatasetError:
        return
    for name in source.entries:
        try:
            assert isinstance(source.read(name), bytes)
        except OSError:
            continue


def test_lzma_errors_are_no_oserrors_by_themselves() -> None:
    """Why `fetch` catches everything: this one is derived from Exception alone."""
    assert not issubclass(lzma.LZMAError, OSError | ValueError)


# ---------------------------------------------------------------------------------------------------------
# Text


@pytest.mark.parametrize(
    ("data", "decoded"),
    [
        (b"", ""), ("é".encode(), "é"), ("é".encode("utf-8-sig"), "é"), ("é".encode("utf-16"), "é"),
        ("é".encode("latin-1"), "é"), (b"\xff\xfe\x00", "\ufffd"),
    ],
)  # fmt: skip
def test_text(data: bytes, decoded: str) -> None:
    """UTF-8 with and without mark, UTF-16 with one, else Latin-1."""
    assert decode_text(data) == decoded


def test_lines() -> None:
    """Every kind of line end counts, and a missing last one does not matter."""
    assert list(numbered_lines(b"a\r\nb\rc\n\nd")) == [(1, "a"), (2, "b"), (3, "c"), (4, ""), (5, "d")]
    assert list(numbered_lines(b"")) == []


def test_source_is_compared_and_printed_without_what_was_read(tmp_path: Path) -> None:
    """Two listings of one folder are equal, whatever was read since."""
    put(tmp_path, {"a.txt": b"x"})
    first, second = open_source(tmp_path), open_source(tmp_path)
    first.read("a.txt")
    assert isinstance(first, Source)
    assert first == second
    assert "digests" not in repr(first)


def test_annotations_are_listed_without_images(tmp_path: Path) -> None:
    """Of a folder whatever is no image; of a json the file alone, named like it."""
    put(tmp_path, {"a.jpg": b"x", "a.txt": "0", "sub/instances.JSON": "{}"})
    folder = open_annotations(tmp_path)
    assert (sorted(folder.entries), folder.annotations_only, folder.is_file) == (
        ["a.txt", "sub/instances.JSON"],
        True,
        False,
    )
    file = open_annotations(tmp_path / "sub" / "instances.JSON")
    assert (list(file.entries), file.name, file.is_file) == (["instances.JSON"], "instances", True)
    assert file.read("instances.JSON") == b"{}"


def test_a_json_is_opened_as_annotations_and_a_folder_as_it_is_asked_for(tmp_path: Path) -> None:
    """`open_dataset` is what `audit` opens; a file of another kind is refused as ever."""
    put(tmp_path, {"a.jpg": b"x", "instances.json": "{}", "a.txt": "0"})
    assert not open_dataset(tmp_path).annotations_only
    assert open_dataset(tmp_path, images=False).annotations_only
    assert open_dataset(tmp_path / "instances.json").is_file
    with pytest.raises(NoDatasetError, match="is a file, not a folder or zip"):
        open_dataset(tmp_path / "a.txt")
