"""The frozen types that everything passes around, and the columns of their frames.

Coordinates, stated once: pixels, origin in the top-left corner, x to the right and y down; a box is its edges
`x1, y1, x2, y2`, in [0, W] x [0, H] when it lies inside; its width is `x2 - x1`. W and H are those of the pixels as
stored, before any EXIF orientation: what a decoder hands to the trainer.

Paths, stated once: POSIX, relative to the root of the dataset (the folder or zip that was given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    from PIL.Image import Image

Severity = Literal["error", "warning", "info"]
Verdict = Literal["approved", "approved-with-waivers", "rejected"]
Status = Literal["passed", "failed", "not-applicable", "crashed"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

# ---------------------------------------------------------------------------------------------------------------------
# What a reader brings

#: One row an image file of the dataset, whether annotated or not. `image` is the row number, 0..n-1, the key that the
#: other frames use; rows are sorted by `path`.
IMAGES = pl.Schema(
    {
        "image": pl.UInt32,
        "path": pl.String,
        "split": pl.String,  # the first split that lists it; null where the dataset has no splits
        "annotation": pl.String,  # the (first) file that annotates it; null where none does
        "declared_width": pl.Float64,  # what the annotation says of the size, pixels; null where it says nothing
        "declared_height": pl.Float64,
    }
)

#: One row a box, in the order of the files. `row` singles it out for good; `box` is its 0-based index in its annotation
#: file (COCO: among its image's annotations), for people. YOLO's numbers are fractions until the image has been
#: measured; see `fractions`.
BOXES = pl.Schema(
    {
        "row": pl.UInt32,  # 0..n-1 in the order in which the boxes were read; it stays when boxes are taken away
        "image": pl.UInt32,
        "annotation": pl.String,
        "line": pl.UInt32,  # 1-based; null where the format has no useful lines (COCO)
        "box": pl.UInt32,
        "x1": pl.Float64,
        "y1": pl.Float64,
        "x2": pl.Float64,
        "y2": pl.Float64,
        "class_id": pl.Int64,  # as written; null in VOC
        "label": pl.String,  # null where the id is in no list
        "shape": pl.String,  # "box", "polygon" or "rle": what the box was made from
        "id": pl.Int64,  # COCO annotation id, else null
        "truncated": pl.Float64,  # flags as written; null where the file does not say
        "difficult": pl.Float64,
        "occluded": pl.Float64,
        "crowd": pl.Float64,
    }
)

#: One row a row, entry or file that could not be read, with what stood there, verbatim.
UNREAD = pl.Schema(
    {
        "annotation": pl.String,
        "line": pl.UInt32,
        "image": pl.UInt32,  # null where it is not known which image was meant
        "box": pl.UInt32,  # index in its file, where the row was to be a box
        "text": pl.String,
        "reason": pl.String,
    }
)

#: One row each time an annotation or a list file speaks of an image.
#: kind "annotation": this file (or COCO image entry) annotates the image. kind "name": an optional mention inside it
#: (VOC's <filename>). kind "list": a split's list, or a folder that the split names.
REFERENCES = pl.Schema(
    {
        "kind": pl.String,
        "source": pl.String,  # the annotation or list file
        "line": pl.UInt32,
        "written": pl.String,  # as it stands there, or the path that was expected
        "image": pl.UInt32,  # the image it was resolved to, null where there is none
        "split": pl.String,
        "id": pl.Int64,  # COCO image id, else null
        "outside": pl.Boolean,  # it was written so as to leave the dataset, and nothing inside fits
    }
)

#: One row each (image, split) that the dataset puts together; an image that several splits list has several rows.
MEMBERSHIP = pl.Schema({"image": pl.UInt32, "split": pl.String})


@dataclass(frozen=True)
class NameList:
    """One list of class names that the dataset brings."""

    source: str  # the file
    names: tuple[tuple[int, str, int | None], ...]  # (id, name exactly as written, line)
    split: str | None = None
    count: int | None = None  # what `nc` or `classes =` says beside it
    declares_ids: bool = True  # False for a list of which only the names matter (VOC beside a labels.txt)
    complete: bool = True  # False where a part could not be read, which may declare what is missing here

    def by_id(self) -> dict[int, str]:
        """{id: name}; of repeated ids the first one."""
        table: dict[int, str] = {}
        for number, name, _ in self.names:
            table.setdefault(number, name)
        return table


def empty(schema: pl.Schema) -> pl.DataFrame:
    """Return a frame of no rows with these columns."""
    return pl.DataFrame(schema=schema)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it was read: columns, and where each row came from. Nothing is repaired or dropped."""

    root: str  # as the user gave it
    format: str  # "voc", "coco", "yolo" (ultralytics) or "darknet"
    images: pl.DataFrame = field(default_factory=lambda: empty(IMAGES))
    boxes: pl.DataFrame = field(default_factory=lambda: empty(BOXES))
    unread: pl.DataFrame = field(default_factory=lambda: empty(UNREAD))
    references: pl.DataFrame = field(default_factory=lambda: empty(REFERENCES))
    membership: pl.DataFrame = field(default_factory=lambda: empty(MEMBERSHIP))
    names: tuple[NameList, ...] = ()  # the first is the one that gives ids their labels
    splits: tuple[str, ...] = ()  # in the dataset's own words: "train", "valid", ...; () where it has none
    content: tuple[str, ...] = ()  # every file that training reads: images, annotations, lists, names; sorted
    fractions: bool = False  # the boxes are fractions of the image, as YOLO writes them
    notes: tuple[str, ...] = ()  # what the reader inferred or skipped, a sentence each
    #: Images whose annotation may be in a file of which nothing could be read. A001 reports the file once; what these
    #: images seem to lack follows from it, and is no finding of its own.
    unreadable_annotation: frozenset[int] = frozenset()

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, by id where ids are declared, else the sorted labels that occur."""
        if self.names:
            return tuple(name for _, name in sorted(self.names[0].by_id().items()))
        return tuple(self.boxes["label"].drop_nulls().unique().sort().to_list())


# ---------------------------------------------------------------------------------------------------------------------
# What measuring brings

#: One row an image, in the order of `IMAGES`. Where `status` is not "ok" or "damaged", what was not measured is null.
PIXELS = pl.Schema(
    {  # type: ignore[arg-type] # mypy joins types and instances of types to `object`
        "image": pl.UInt32,
        "status": pl.String,  # "ok", "damaged" (decodes in part or conceals damage), "unreadable", "too-large"
        "reason": pl.String,  # why it is not ok, in the decoder's words where it has some
        "damage_at": pl.Float64,  # share of the file at which the damage begins, where known
        "size_bytes": pl.UInt64,
        "digest": pl.String,  # blake3 of the file's bytes, 64 hex digits; null where it cannot be read
        "format": pl.String,  # by content: "jpeg", "png", "bmp", "gif", "tiff", "webp", ...; null when it is no image
        "width": pl.UInt32,
        "height": pl.UInt32,
        "orientation": pl.UInt8,  # EXIF, 1..8; null where there is none; values outside become 0
        "mode": pl.String,  # Pillow's: "RGB", "L", "CMYK", "P", "RGBA", "I;16", ...
        "frames": pl.UInt32,
        "trailing_bytes": pl.UInt64,  # after the image's own end
        "brightness": pl.Float64,  # mean luma, 0..1
        "contrast": pl.Float64,  # standard deviation of the luma, 0..1
        "sharpness": pl.Float64,  # variance of the Laplacian of the luma at 1/8 scale (at least 64 px), luma in 0..255
        "pixel_digest": pl.String,  # blake3 of mode, size and small grey image; equal for equal pixels
        # perceptual hash (imagehash.phash bits, big-endian) of the image and of its seven flips and rotations, in the
        # order: as is, mirrored, upside down, rotated 180, transposed, rotated 90, rotated 270, anti-transposed
        "hashes": pl.Array(pl.UInt64, 8),
        # what finds crops: the box that plain bars leave, its hashes and its keypoints: see `keypoints.unpack`
        "keypoints": pl.Binary,
    }
)

#: One row a pair of near or exact duplicates within a group; `a` < `b` are images, `group` numbers the groups.
PAIRS = pl.Schema(
    {  # type: ignore[arg-type] # mypy joins types and instances of types to `object`
        "group": pl.UInt32,
        "a": pl.UInt32,
        "b": pl.UInt32,
        # what was done to `a` to get `b`, or the other way round: "exact", "same pixels", "recompressed", "resized",
        # "brighter", "darker", "contrast", "cropped", "shifted", "letterboxed", "rotated a little", one of
        # `dihedral.NAMES`, "near" (the same place, another picture), "source"
        "relation": pl.String,
        "distance": pl.UInt32,  # bits of the hash that differ, 0..64; 0 for exact and source pairs
        "similarity": pl.Float64,  # correlation of the aligned thumbnails, -1..1; null where it was not needed
        "detail": pl.String,  # all that was seen, with {a} and {b} for the two; null where it was not needed
        # where a place of `b` is in `a`: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5, in shares of the sides of
        # images as they are stored; null where it was not needed
        "map": pl.Array(pl.Float64, 6),
    }
)


#: One row an image that is a copy of one in the list of known hashes: see `duplicates.known`.
KNOWN_COPIES = pl.Schema(
    {
        "image": pl.UInt32,
        "known": pl.String,  # what the list calls it
        "distance": pl.UInt32,  # bits in which the perceptual hashes differ, 0..64
        "turn": pl.UInt8,  # what is done to `image` to get the known one: a `dihedral.Turn`
    }
)


@dataclass(frozen=True)
class Evidence:
    """What rules look at: the dataset, its pixels and its duplicates, and frames joined from them once."""

    dataset: Dataset
    pixels: pl.DataFrame
    duplicates: pl.DataFrame
    images: pl.DataFrame
    """`IMAGES` + `PIXELS` without keypoints + `image_width`/`image_height`: measured, else declared, else null."""
    boxes: pl.DataFrame
    """`BOXES` in pixels + `path`, `split`, `image_width`, `image_height`. Images without a size: YOLO edges are null.
    YOLO keeps its fractions as `fx1, fy1, fx2, fy2`; these are null in other formats."""
    labels: tuple[str, ...] = ()  # the labels that the user asked for; () for all
    group_regex: str = ""  # from the configuration: its first group names the recording of a path
    known_copies: pl.DataFrame | None = None  # `KNOWN_COPIES`; None where there is no list of known hashes


# ---------------------------------------------------------------------------------------------------------------------
# What rules bring

#: One row a finding. `audit.json` shows `measured_text` in place of `measured` where it is set; likewise the limit.
FINDINGS = pl.Schema(
    {  # type: ignore[arg-type] # mypy joins types and instances of types to `object`
        "rule": pl.String,
        "severity": pl.String,
        "image": pl.String,
        "annotation": pl.String,
        "line": pl.UInt32,
        "box": pl.UInt32,
        "row": pl.UInt32,  # the box in `Dataset.boxes`; null where the finding is about no single box
        "label": pl.String,
        "split": pl.String,
        "related": pl.List(pl.String),
        "message": pl.String,
        "measured": pl.Float64,
        "measured_text": pl.String,
        "limit": pl.Float64,
        "limit_text": pl.String,
        "unit": pl.String,
        "text": pl.String,  # what stood in the file, verbatim, where it could not be read
    }
)


@dataclass(frozen=True)
class Option:
    """A threshold of a rule. `source` says where the default comes from."""

    name: str  # kebab-case, as written in trainworthy.toml
    default: float | str | bool | tuple[str, ...]
    meaning: str  # a sentence, with the unit
    source: str


@dataclass(frozen=True)
class Box:
    """A box in an example, in pixels."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    flags: Mapping[str, Any] = field(default_factory=dict)  # e.g. {"truncated": 1}


@dataclass(frozen=True)
class Picture:
    """An image in an example. Pictures of one `scene` look alike, of different scenes do not."""

    name: str  # file stem and extension, e.g. "street.jpg"
    scene: int = 0
    size: tuple[int, int] = (160, 120)
    boxes: tuple[Box, ...] | None = ()  # None: it has no annotation at all
    split: str | None = "train"
    like: str = ""  # a copy of this earlier picture's file, byte for byte
    edit: Callable[[Image], Image] | None = None  # before it is saved
    mangle: Callable[[bytes], bytes] | None = None  # after it is saved
    save: Mapping[str, Any] = field(default_factory=dict)  # arguments of Pillow's save, e.g. {"quality": 40}


@dataclass(frozen=True)
class Example:
    """A little dataset that shows a rule: `demo.write` puts it on disk."""

    pictures: tuple[Picture, ...]
    format: str = "yolo"  # "voc", "coco", "yolo", "darknet"
    classes: tuple[str, ...] = ("cat", "dog")
    #: Files written last, over what the format wrote: {path: text, bytes, or a function of the bytes that stand there
    #: (b"" where there are none); None removes the file}.
    files: Mapping[str, str | bytes | Callable[[bytes], bytes] | None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # fields of `config.Config`, e.g. {"options": {"N001": {...}}}
    #: For a dirty example: parts of the findings that must come out, one mapping a finding, e.g.
    #: ({"image": "images/train/a.jpg", "box": 0},). All findings of the rule are listed, in order.
    expect: tuple[Mapping[str, Any], ...] = ()


Check = Callable[[Evidence, Mapping[str, Any]], pl.DataFrame]


@dataclass(frozen=True)
class Rule:
    """A rule: its reference page is the docstring of the module that makes it."""

    code: str
    name: str  # kebab-case: "box-out-of-bounds"
    severity: Severity
    summary: str  # what one finding means, a phrase: "box reaches beyond the image"
    check: Check  # returns a frame made by `finding.rows` or `finding.one`
    clean: Example
    dirty: Example
    options: tuple[Option, ...] = ()
    needs: tuple[str, ...] = ()  # keys of `auditing.NEEDS`; where one is not met the rule is not applicable
    docs: str = ""  # filled in from the module's docstring

    @property
    def group(self) -> str:
        """'Images', 'Boxes', ...: the family that the code's letter names."""
        return GROUPS[self.code[0]]


GROUPS = {
    "I": "Images",
    "A": "Annotation files",
    "B": "Boxes",
    "C": "Classes",
    "D": "Duplicates and variety",
    "O": "Flags",
    "N": "Numbers",
    "S": "Splits",
}


# ---------------------------------------------------------------------------------------------------------------------
# What an audit brings


@dataclass(frozen=True)
class Outcome:
    """How one rule fared."""

    rule: Rule
    severity: Severity  # after the configuration
    status: Status
    findings: int = 0
    waived: int = 0
    reason: str = ""  # why it is not applicable, or how it crashed


@dataclass(frozen=True)
class Waiver:
    """A person's acceptance of findings, bound to their content by their keys."""

    rule: str
    findings: tuple[str, ...]  # keys: see `waivers.keys`
    reason: str
    author: str
    expires: date
    where: str = ""  # for readers: which place it excuses
    status: Literal["used", "unused", "expired"] = "used"


@dataclass(frozen=True)
class Setting:
    """One setting and where its value came from ("default", a file, or "command line")."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class AuditResult:
    """Everything that an audit found."""

    name: str
    evidence: Evidence
    findings: pl.DataFrame  # FINDINGS + `key`: str, `waived`: UInt32 index into `waivers` or null
    outcomes: Mapping[
        str, Outcome
    ]  # by code, in the catalogue's order; rules that were deselected are absent
    waivers: tuple[Waiver, ...]
    settings: tuple[Setting, ...]
    fingerprint: str  # blake3 over the content of every file that training reads
    digests: Mapping[str, str]  # {path: blake3}, of `dataset.content`
    verdict: Verdict
    not_checked: tuple[str, ...]  # sentences: what nobody looked at in this audit
    switched_off: tuple[str, ...]  # codes of blocking rules that did not run: no certificate then
    command: str  # the command that made it, for the report
    created: str  # ISO 8601, UTC
    version: str

    @property
    def crashed(self) -> tuple[Outcome, ...]:
        """The rules that crashed; any means no certificate and exit code 2."""
        return tuple(outcome for outcome in self.outcomes.values() if outcome.status == "crashed")


if TYPE_CHECKING:
    Bits = np.ndarray[Any, np.dtype[np.uint64]]
