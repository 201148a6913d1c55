"""No input costs the run: each kind that once did, through the audit and through every operation."""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from pathlib import Path

import pytest

from support.command import run
from support.helpers import put, write
from trainworthy_audit.formats.shared.paths import printable
from trainworthy_audit.source.reading import MAX_IMAGE_BYTES
from trainworthy_audit.types import Box, Example, Picture

pytestmark = pytest.mark.usefixtures("workplace")

CAT = Box("cat", 10, 10, 60, 60)
PICTURES = tuple(
    Picture(f"{name}.jpg", scene=scene, boxes=(CAT,), split=split)
    for scene, (name, split) in enumerate([("a", "train"), ("b", "train"), ("c", "val")], 1)
)
HEAD = b"train: images/train\nval: images/val\n"

OPERATIONS = (
    ("fix",),
    ("split", "--again"),
    ("resize", "--max-side", "40"),
    ("convert", "--to", "voc"),
    ("convert", "--to", "coco"),
    ("convert", "--to", "yolo"),
)


def slow(value: object, name: str) -> object:
    """A parameter whose like runs by default."""
    return pytest.param(value, id=name, marks=pytest.mark.slow)


def survives(data: Path | str = "data", *expected: str) -> None:
    """The audit and every operation end with a verdict or a refusal of ours, never with an internal error."""
    commands = [
        ("audit", data),
        *((name, data, *words, "--out", f"out{at}") for at, (name, *words) in enumerate(OPERATIONS)),
    ]
    outputs = []
    for words in commands:
        result = run(*words, "--workers", 1)
        outputs.append(result.output)
        assert "internal error" not in result.output, (words, result.output)
        assert "Traceback" not in result.output
        assert "crashed" not in result.output
        assert result.exit_code in {0, 1, 2}
    for text in expected:
        assert text in outputs[0], outputs[0]


def coco(change: tuple[str, str]) -> None:
    """A dataset `data` in COCO's form, with one change to the text of its json."""
    write(Example(PICTURES, format="coco"), Path("data"))
    for file in Path("data").rglob("*.json"):
        text = json.dumps(json.loads(file.read_text()))
        assert change[0] in text
        file.write_text(text.replace(*change, 1))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(b"names: " + b"[" * 100_000, id="brackets"),
        slow(b"names: " + b"{a: [" * 30_000, "mappings"),
        slow(b"names: [cat]\n" + b"\n".join(b"k%d: [" % number for number in range(20_000)), "many keys"),
        slow(b"names:\n  " + b"- " * 100_000, "dashes"),
        slow(b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: *c", "anchors"),
        slow(b'names: ["\\ud83d\\ude00 cat"]', "emoji"),
        pytest.param(b'names: ["\\ud800x", "\\udfff"]', id="lone surrogates"),
    ],
)
def test_names_of_a_yaml(names: bytes) -> None:
    """Nested, endless or escaped: read as far as it goes, in little time."""
    write(Example(PICTURES), Path("data"))
    put(Path("data"), {"data.yaml": HEAD + names + b"\n"})
    survives()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(('"iscrowd": 0', '"iscrowd": 1e400'), id="infinite"),
        slow(('"iscrowd": 0', '"iscrowd": 1' + "0" * 400), "digits"),
        slow(('"iscrowd": 0', '"truncated": 1' + "0" * 400), "flag"),
        slow(('"area"', '"attributes": {"\\ud800": "\\udc00", "far": 1e400}, "area"'), "attributes"),
        slow(('"cat"', '"\\ud83d\\ude00"'), "emoji"),
        pytest.param(('"cat"', '"\\ud800"'), id="surrogate"),
        slow(('"area"', '"\\ud83d": 1, "area"'), "key"),
        slow(('"image_id": 1', '"image_id": "' + "1" * 5000 + '", "x": "\\ud83d"'), "long id"),
        slow(("{", '{"info": ' + "[" * 50_000 + "]" * 50_000 + ", "), "nested"),
    ],
)
def test_values_of_a_coco_json(change: tuple[str, str]) -> None:
    """Numbers that no number can be, characters that no file can hold, brackets without end."""
    coco(change)
    survives()


def test_escaped_emoji_is_one_character() -> None:
    """Two escapes of a pair are joined, a lone one is spelled out, everything else stays."""
    assert printable("\ud83d\ude00 cat") == "\U0001f600 cat"
    assert printable("\ud800x") == "\\ud800x"
    assert printable("\xe9\U0001f600") == "\xe9\U0001f600"


def test_image_of_no_end_is_not_read() -> None:
    """A sparse file of 200 GB is named with its size; no process reads it."""
    write(Example(PICTURES), Path("data"))
    with Path("data/images/train/a.jpg").open("r+b") as file:
        file.truncate(200 * 2**30)
    result = run("audit", "data", "--workers", 1)
    assert result.exit_code == 1
    assert f"214,748,364,800 bytes, more than the {MAX_IMAGE_BYTES:,}" in " ".join(result.output.split())


def test_zip_member_without_a_name() -> None:
    """It is named, and the rest is audited."""
    write(Example(PICTURES), Path("data"))
    with zipfile.ZipFile("data.zip", "w") as packed:
        for file in Path("data").rglob("*"):
            if file.is_file():
                packed.write(file, file.relative_to("data"))
        nameless = zipfile.ZipInfo("x")
        nameless.filename = ""
        packed.writestr(nameless, b"abc")
    survives("data.zip", "members without a name")


def test_decomposed_names_and_links() -> None:
    """An accent that is a character of its own (macOS) in images, labels and links among them."""
    write(Example(PICTURES), Path("data"))
    accent, whole = unicodedata.normalize("NFD", "caf\xe9"), "caf\xe9"
    images, labels = Path("data/images/train"), Path("data/labels/train")
    (images / f"{accent}.jpg").write_bytes((images / "a.jpg").read_bytes())
    (labels / f"{whole}.txt").write_bytes((labels / "a.txt").read_bytes())
    (images / f"link-{accent}.jpg").symlink_to(f"{accent}.jpg")
    (labels / f"link-{accent}.txt").write_bytes((labels / "a.txt").read_bytes())
    survives()


def test_reason_that_is_not_text_breaks_no_file_of_waivers() -> None:
    """A reason in another encoding is refused before anything is written."""
    write(Example((Picture("a.jpg", scene=1, boxes=(Box("cat", 100, 10, 190, 60),)),)), Path("data"))
    words = ("waive", "data", "--rule", "B001", "--author", "Ada", "--expires", "2999-01-01", "--workers", 1)
    assert run(*words, "--reason", "fine").exit_code == 0
    before = Path("data.waivers.toml").read_bytes()
    result = run(*words, "--reason", os.fsdecode(b"caf\xe9"))
    assert result.exit_code == 2
    assert "--reason is not UTF-8" in result.output
    assert Path("data.waivers.toml").read_bytes() == before
