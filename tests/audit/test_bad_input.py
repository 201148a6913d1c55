"""Bad input, bad disks and impatient people: a clear message, the right exit code, nothing lost or half-written."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from PIL import Image

from support.command import run
from trainworthy_audit import demo, output
from trainworthy_audit.types import Box, Example, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CAT = Box("cat", 10, 10, 60, 60)
SOUND = Example((Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,))))
COMMAND = [sys.executable, "-m", "trainworthy_audit"]


@pytest.fixture(autouse=True)
def nothing_left(workplace: Path) -> Iterator[None]:
    """Each test runs in a folder of its own; whatever it does, no part of a file is left there."""
    yield
    assert not list(workplace.rglob(f"*{output.TEMPORARY}*"))


def audit(*words: object) -> Result:
    result = run("audit", *words, "--workers", 1)
    assert "Traceback" not in result.output
    return result


def write(example: Example = SOUND, name: str = "data") -> Path:
    demo.write(example, Path(name))
    return Path(name)


def refused(result: Result, *expected: str) -> None:
    """Exit code 2, a message with all of these, nothing on standard output, and no report."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    for text in expected:
        assert text in result.stderr, result.stderr
    assert not Path("reports").exists()


def findings(code: str, name: str = "data") -> list[dict[str, Any]]:
    report = json.loads((Path("reports") / name / "audit.json").read_text("utf-8"))
    return [finding for finding in report["findings"] if finding["rule"] == code]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 30)).save(buffer, "jpeg")
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------------
# What was given is no dataset


def test_missing_path() -> None:
    """A path that does not exist is named, with where it was looked for."""
    refused(
        audit("nowhere"),
        "error: no such folder or zip: nowhere\n",
        f"  Looked in {Path.cwd()}.\n",
        "  next: ls .\n",
    )


def test_empty_folder() -> None:
    """An empty folder says what was looked for."""
    Path("empty").mkdir()
    refused(audit("empty"), "error: no files found in empty\n", "Pascal VOC", "COCO", "YOLO", "\n  next: ")


def test_file_instead_of_a_folder() -> None:
    """A file that is no zip is told to be a file."""
    Path("list.txt").write_text("a.jpg\n")
    refused(
        audit("list.txt"),
        "error: list.txt is a file, not a folder or zip of images and labels.",
        "\n  next: ",
    )


def test_unreadable_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be listed says so."""
    data = write()
    deny(monkeypatch, "scandir", os.fsencode(data.absolute()))
    refused(audit(data), "error: cannot list data: Permission denied\n", "  next: ls -ld data\n")


def test_unreadable_folder_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder inside the dataset that may not be listed blocks, and the rest is audited."""
    data = write()
    deny(monkeypatch, "scandir", os.fsencode((data / "labels").absolute()))
    result = audit(data)
    assert result.exit_code == 1, result.output
    (finding,) = findings("A001")
    assert finding["annotation"] == "labels"
    assert "the folder cannot be listed: Permission denied" in finding["message"]


def deny(monkeypatch: pytest.MonkeyPatch, name: str, path: bytes) -> None:
    """Stand in for missing permission: tests may run as root, whom no permission stops."""
    real = getattr(os, name)

    def denied(given: Any, *rest: Any, **more: Any) -> Any:
        if os.fsencode(given) == path:
            raise PermissionError(errno.EACCES, "Permission denied", given)
        return real(given, *rest, **more)

    monkeypatch.setattr(os, name, denied)


def test_unreadable_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label file whose bytes cannot be had blocks: a link that leads out, and with such links followed the file."""
    data = write()
    Path("data/labels/train/a.txt").unlink()
    Path("data/labels/train/a.txt").symlink_to("/proc/self/mem")  # regular, listed, and not to be read
    result = audit(data)
    assert result.exit_code == 1, result.output
    assert [finding["annotation"] for finding in findings("A007")] == ["labels/train/a.txt"]
    result = audit(data, "--follow-links")
    assert result.exit_code == 1, result.output
    assert [finding["annotation"] for finding in findings("A001")] == ["labels/train/a.txt"]


# ------------------------------------------------------------------------------------------------------------
# Zips


def zipped(members: dict[str, bytes], name: str = "data.zip") -> Path:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return Path(name)


def voc(image: str = "a.jpg", objects: str = "") -> bytes:
    return (
        f"<annotation><filename>{image}</filename><size><width>64</width><height>48</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    ).encode()


def thing(name: str = "cat", edges: Sequence[object] = (5, 5, 20, 20)) -> str:
    sides = "".join(
        f"<{key}>{edge}</{key}>" for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"


def test_broken_zip() -> None:
    """A zip that was cut short is told to be one, with its size."""
    whole = zipped({"JPEGImages/a.jpg": jpeg(), "Annotations/a.xml": voc(objects=thing())})
    whole.write_bytes(whole.read_bytes()[:-40])
    refused(
        audit(whole),
        "error: not a readable zip: data.zip\n",
        "no zip directory at its end",
        "  next: unzip -t data.zip\n",
    )


def test_damaged_member_of_a_zip() -> None:
    """A member whose bytes do not fit their checksum is an unreadable image, not the end of the audit."""
    whole = zipped({"JPEGImages/a.jpg": jpeg(), "Annotations/a.xml": voc(objects=thing())})
    content = bytearray(whole.read_bytes())
    content[content.index(b"JPEGImages/a.jpg") + 60] ^= 0xFF
    whole.write_bytes(content)
    result = audit(whole)
    assert result.exit_code == 1, result.output
    assert [finding["image"] for finding in findings("I001")] == ["JPEGImages/a.jpg"]


def test_zip_slip() -> None:
    """Members that would leave the folder are findings; nothing is written where they point."""
    whole = zipped(
        {
            "JPEGImages/a.jpg": jpeg(),
            "Annotations/a.xml": voc(objects=thing()),
            "../escaped.jpg": jpeg(),
            "/etc/trainworthy-escaped.xml": voc(),
        }
    )
    result = audit(whole)
    assert result.exit_code == 1, result.output
    assert len(findings("A007")) == 2
    assert not Path("../escaped.jpg").exists()
    assert not Path("/etc/trainworthy-escaped.xml").exists()


def test_zip_bomb() -> None:
    """A zip that claims to hold far more than zips of pictures do is refused before anything is read."""
    bomb = zipped({"Annotations/a.xml": b"\0" * 300_000_000})
    assert bomb.stat().st_size < 2**20
    refused(audit(bomb), "error: data.zip looks like a zip bomb\n", "Nothing was read.")


# ------------------------------------------------------------------------------------------------------------
# Annotations that attack or choke their reader


def voc_folder(annotation: bytes) -> Path:
    for folder, name, content in (("JPEGImages", "a.jpg", jpeg()), ("Annotations", "a.xml", annotation)):
        Path("data", folder).mkdir(parents=True)
        Path("data", folder, name).write_bytes(content)
    return Path("data")


def test_xml_entities_are_not_read_from_disk() -> None:
    """An external entity does not bring another file's content into the report."""
    Path("secret.txt").write_text("the secret words")
    head = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{Path("secret.txt").resolve()}">]>'
    result = audit(voc_folder(head.encode() + voc(objects=thing("&x;"))))
    assert result.exit_code in {0, 1}
    assert "the secret words" not in result.output
    for file in Path("reports/data").iterdir():
        assert "the secret words" not in file.read_text("utf-8")


def test_billion_laughs() -> None:
    """Entities that multiply are not multiplied: the file is malformed, at once."""
    laughs = '<!ENTITY l0 "lol">' + "".join(
        f'<!ENTITY l{depth} "{f"&l{depth - 1};" * 10}">' for depth in range(1, 12)
    )
    annotation = f'<?xml version="1.0"?><!DOCTYPE a [{laughs}]>'.encode() + voc(objects=thing("&l11;"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = audit(voc_folder(annotation))
    assert result.exit_code == 1, result.output
    assert [finding["annotation"] for finding in findings("A001")] == ["Annotations/a.xml"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def coco_folder(document: str) -> Path:
    Path("data").mkdir()
    Path("data/a.jpg").write_bytes(jpeg())
    Path("data/_annotations.coco.json").write_text(document)
    return Path("data")


def test_deeply_nested_json() -> None:
    """A JSON of a hundred thousand brackets is malformed, not a crash."""
    nested = '{"images": [], "annotations": [], "categories": ' + "[" * 100_000 + "]" * 100_000 + "}"
    result = audit(coco_folder(nested))
    assert result.exit_code in {1, 2}
    assert "internal error" not in result.output
    if result.exit_code == 1:
        assert findings("A001")


def test_nan_and_infinity_in_json() -> None:
    """Numbers that JSON does not have are findings, and audit.json stays valid JSON."""
    box = '{"id": %d, "image_id": 1, "category_id": 1, "bbox": [%s, 1, 5, 5], "area": 25, "iscrowd": 0}'
    boxes = ", ".join(
        box % (number, edge) for number, edge in enumerate(("NaN", "Infinity", "-Infinity", "1e999", "3"))
    )
    result = audit(
        coco_folder(
            '{"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}], '
            f'"categories": [{{"id": 1, "name": "cat"}}], "annotations": [{boxes}]}}'
        )
    )
    assert result.exit_code == 1, result.output
    assert len(findings("B003") + findings("A001")) == 4
    text = Path("reports/data/audit.json").read_text("utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"audit.json holds {name}"))


def test_nan_and_infinity_in_yolo() -> None:
    """The same in a label file: each bad row is one finding, and the good row is still read."""
    data = write()
    Path("data/labels/train/a.txt").write_text("0 nan 0.5 0.1 0.1\n0 0.5 inf 0.1 0.1\n0 0.5 0.5 0.1 0.1\n")
    result = audit(data)
    assert result.exit_code == 1, result.output
    assert [(finding["annotation"], finding["line"]) for finding in findings("B003")] == [
        ("labels/train/a.txt", 1),
        ("labels/train/a.txt", 2),
    ]


def test_label_line_of_two_gigabytes() -> None:
    """A line without an end is one finding; it is neither held in memory nor shown whole."""
    data = write()
    label = Path("data/labels/train/a.txt")
    with label.open("r+b") as handle:
        handle.truncate(2 * 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = audit(data)
    assert result.exit_code == 1, result.output
    assert [finding["annotation"] for finding in findings("A001")] == ["labels/train/a.txt"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kilobytes
    assert sum(path.stat().st_size for path in Path("reports/data").iterdir()) < 2**20
    label.unlink()


def test_loops_of_links() -> None:
    """Folders that link to themselves and to one another are read once, and said."""
    data = write()
    Path("data/loop").symlink_to(".")
    Path("data/images/up").symlink_to("..")
    Path("data/self").symlink_to("self")
    result = audit(data)
    assert result.exit_code in {0, 1}
    report = json.loads(Path("reports/data/audit.json").read_text("utf-8"))
    assert any("link" in note for note in report["notes"])


def test_names_that_leave_the_dataset() -> None:
    """A list that names files outside of the dataset is a finding, and those files are not read."""
    data = write()
    Path("outside.jpg").write_bytes(jpeg())
    Path("data/train.txt").write_text("images/train/a.jpg\n../outside.jpg\n/etc/passwd\n")
    text = Path("data/data.yaml").read_text()
    Path("data/data.yaml").write_text(text.replace("train: images/train", "train: train.txt"))
    result = audit(data)
    assert result.exit_code == 1, result.output
    assert findings("A007")
    report = json.loads(Path("reports/data/audit.json").read_text("utf-8"))
    assert report["dataset"]["images"] == 2


HTML = '<script>alert(1)</script><img src=x onerror="alert(2)">'


def test_labels_with_html() -> None:
    """A label that is HTML is shown as the text that it is."""
    name = HTML.replace("<", "&lt;").replace('"', "&quot;")
    result = audit(voc_folder(voc(objects=thing(name, (5, 5, 300, 20)))))
    assert result.exit_code == 1, result.output
    page = Path("reports/data/index.html").read_text("utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_names_with_control_characters() -> None:
    """A file name cannot send commands to the terminal, nor break a line of GitHub's annotations."""
    data = write()
    Path("data/labels/train/a.txt").rename("data/labels/train/a\x1b[31m\n::error::x.txt")
    Path("data/labels/train/a\x1b[31m\n::error::x.txt").write_text("bad\n")
    Path("data/images/train/a.jpg").rename("data/images/train/a\x1b[31m\n::error::x.jpg")
    for kind in ("text", "github"):
        result = audit(data, "--output-format", kind)
        assert result.exit_code == 1, result.output
        assert "\x1b" not in result.output
        assert not [line for line in result.output.splitlines() if line.startswith("::error::x")]


def test_undecodable_names() -> None:
    """A file name that is no UTF-8 is audited and written into every report."""
    data = write()
    (data / "images" / "train" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(jpeg())
    result = audit(data)
    assert result.exit_code == 0, result.output
    assert [finding["image"] for finding in findings("A003")] == ["images/train/\\xff\\xfe.jpg"]
    assert run("verify", data).exit_code == 0


# ------------------------------------------------------------------------------------------------------------
# Disks


def test_read_only_dataset() -> None:
    """A dataset that may not be written to is audited like any other."""
    data = write()
    for path in [data, *data.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert audit(data).exit_code == 0
    for path in [data, *data.rglob("*")]:
        path.chmod(0o755)


def test_report_folder_that_cannot_be_made() -> None:
    """A report below a file is refused, and the file stays."""
    Path("file").write_text("mine")
    result = audit(write(), "--out", "file/report")
    refused(
        result,
        "error: cannot ",
        "file/report",
        "Not a directory",
        "  next: choose another folder: --out FOLDER\n",
    )
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_disk_that_fails_leaves_the_old_report(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Full, read-only or forbidden: the message says which, and the old report is whole, to the byte."""
    data = write()
    assert audit(data).exit_code == 0
    before = {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}
    Path("data/labels/train/a.txt").write_text("0 0.9 0.5 0.9 0.5\n")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        result = audit(data)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"error: cannot write the report to reports/data: {os.strerror(number)}\n  Nothing there was changed.\n"
    )
    assert {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()} == before


def test_full_disk_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the first report can be written, no empty folder is left behind."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        refused(audit(write()), "No space left on device")


def test_files_that_may_not_grow() -> None:
    """With a limit on the size of files, which stops the cache too, the run ends with a message and the old report."""
    data = write()
    assert audit(data).exit_code == 0
    before = {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}
    done = subprocess.run(
        [*COMMAND, "audit", "data", "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2, done.stderr
    assert "error: cannot write the report to reports/data: File too large\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()} == before


def test_waiver_file_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, the waivers that were there stay as they were."""
    data = write(Example((Picture("a.jpg", boxes=(Box("cat", 100, 10, 190, 60),)),)))
    Path("data.waivers.toml").write_text("# mine\n")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = [
        "waive",
        str(data),
        "--rule",
        "B001",
        "--reason",
        "r",
        "--author",
        "a",
        "--expires",
        "2999-01-01",
    ]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        result = run(*words)
    assert result.exit_code == 2
    assert "data.waivers.toml: No space left on device\n  Nothing was changed.\n" in result.stderr
    assert Path("data.waivers.toml").read_text() == "# mine\n"


# ------------------------------------------------------------------------------------------------------------
# People and processes


def enlarge(data: Path, count: int) -> None:
    """Make a dataset take seconds to measure: `count` times a large picture."""
    buffer = io.BytesIO()
    Image.effect_noise((3000, 3000), 90).save(buffer, "jpeg", quality=92)
    for number in range(count):
        (data / "images" / "train" / f"x{number}.jpg").write_bytes(buffer.getvalue() + number.to_bytes(4))


def test_interruption_while_measuring() -> None:
    """Ctrl-C ends the run and all of its processes at once; the old report stays, and nothing else is there."""
    data = write()
    assert audit(data).exit_code == 0
    before = {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}
    enlarge(data, 60)
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "audit", str(data), "--workers", "2"],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    told = b""
    while b"measuring" not in told:
        told += os.read(terminal, 4096)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    started = time.monotonic()
    stdout, _ = process.communicate(timeout=60)
    told += drained(terminal)
    assert process.returncode == 130, told
    assert b"interrupted; nothing was written" in told
    assert b"Traceback" not in told
    assert stdout == b""
    assert time.monotonic() - started < 30
    assert gone(process.pid)
    assert {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()} == before


def drained(terminal: int) -> bytes:
    told = b""
    try:
        while piece := os.read(terminal, 4096):
            told += piece
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return told


def gone(group: int) -> bool:
    """Whether no process of the group is left, after a moment for them to end."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_two_audits_at_once() -> None:
    """Two audits of one dataset into one folder both end well, and leave one whole report."""
    data = write()
    words = [*COMMAND, "audit", str(data), "--workers", "1"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, told = process.communicate(timeout=120)
        assert (process.returncode, told) == (0, b"")
    report = json.loads(Path("reports/data/audit.json").read_text("utf-8"))
    proof = json.loads(Path("reports/data/certificate.json").read_text("utf-8"))
    assert report["created"] == proof["created"]
    assert run("verify", data).exit_code == 0


def test_output_that_cannot_be_printed() -> None:
    """Standard output on a full disk is told on standard error; the report lies where it belongs."""
    data = write()
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*COMMAND, "audit", str(data), "--workers", "1"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "error: cannot print the result: No space left on device\n")
    assert Path("reports/data/audit.json").exists()
