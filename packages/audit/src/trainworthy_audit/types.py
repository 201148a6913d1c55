"""The frozen types that everything passes around, and the columns of their frames.

Coordinates, stated once: pixels, origin in the top-left corner, x to the right and y down; a box is its edges
`x1, y1, x2, y2`, in [0, W] x [0, H] when it lies inside; its width is `x2 - x1`. W and H are those of the pixels as
stored, before any EXIF orientation: what a decoder returns to the trainer.

Paths, stated once: POSIX, relative to the root of the dataset (the folder or zip that was given).

Frames, stated once: a column `image` holds row numbers of `IMAGES`, a column `row` holds those of `BOXES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    from datetime import date

    from PIL.Image import Image

#: How grave a finding is. Only errors block a certificate.
Severity = Literal["error", "warning", "info"]
Verdict = Literal["approved", "approved-with-waivers", "rejected"]
Status = Literal["passed", "failed", "not-applicable", "crashed"]
Task = Literal["boxes", "polygons", "keypoints", "oriented"]

#: The gravest first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

# ---------------------------------------------------------------------------------------------------------------------
# What a reader returns

#: One row an image file of the dataset, whether annotated or not; sorted by `path`.
IMAGES = pl.Schema(
    {
        "image": pl.UInt32,  # the row number, 0..n-1
        "path": pl.String,
        "split": pl.String,  # the first split that lists it; null where the dataset has no splits
        "annotation": pl.String,  # the (first) file that annotates it; null where none does
        "declared_width": pl.Float64,  # the size that the annotation declares, in pixels; null where it declares none
        "declared_height": pl.Float64,
    }
)

#: One row a box, in the order of the files.
BOXES = pl.Schema(
    {
        "row": pl.UInt32,  # the number of the box, 0..n-1, in the order of reading; kept when other boxes are removed
        "image": pl.UInt32,  # null where the annotation's image is not in the dataset
        "annotation": pl.String,  # the file
        "line": pl.UInt32,  # 1-based; null where lines of the format mean nothing (COCO)
        "box": pl.UInt32,  # 0-based index in its annotation file (COCO: among its image's annotations), for people
        "x1": pl.Float64,  # edges in pixels; in YOLO fractions of the image's sides (see `Dataset.fractions`)
        "y1": pl.Float64,
        "x2": pl.Float64,
        "y2": pl.Float64,
        "class_id": pl.Int64,  # as written; null in VOC
        "label": pl.String,  # null where the id is in no list
        # what the box was made from: "box", "polygon", "oriented" (four corners of a turned box) or "rle"; "keypoints"
        # for a box of its own with keypoints beside it
        "shape": pl.String,
        "id": pl.Int64,  # COCO annotation id, else null
        "truncated": pl.Float64,  # flags as written, usually 0 or 1; NaN for what is not a number, null where unstated
        "difficult": pl.Float64,
        "occluded": pl.Float64,
        "crowd": pl.Float64,
    }
)

#: The task that annotations of a `shape` are made for.
TASKS: Mapping[str, Task] = {
    "box": "boxes",
    "polygon": "polygons",
    "rle": "polygons",
    "oriented": "oriented",
    "keypoints": "keypoints",
}

#: One row a flaw of the shape that a box was read from; of several keypoints of one box the worst.
SHAPE_FLAWS = pl.Schema(
    {
        "row": pl.UInt32,  # of `BOXES`
        # "crosses-itself" (a polygon), "not-a-rectangle" (an oriented box), and of keypoints: "outside-image",
        # "outside-box", "visibility"
        "flaw": pl.String,
        # how many pairs of edges cross; by what share of the image's or the box's side a keypoint lies outside; the
        # visibility as written; NaN for oriented boxes
        "measured": pl.Float64,
    }
)

#: One row a row, entry or file of annotations that could not be read.
UNREAD = pl.Schema(
    {
        "annotation": pl.String,
        "line": pl.UInt32,
        "image": pl.UInt32,  # null where it is not known which image was meant
        "box": pl.UInt32,  # index in its file, where the row was to be a box
        "text": pl.String,  # what stands there, verbatim; "" for a whole file
        "reason": pl.String,  # a phrase: "not a number: wide"
    }
)

#: One row each time a file of the dataset mentions an image. The kinds: "annotation" (this file, or this entry of a
#: COCO file, annotates the image), "name" (a mention inside it that is not needed: VOC's <filename>), "list" (a split's
#: list, or a folder that the split names), "member" (a zip member that would leave its folder), "link" (one that does).
REFERENCES = pl.Schema(
    {
        "kind": pl.String,
        "source": pl.String,  # the annotation or list file
        "line": pl.UInt32,
        "written": pl.String,  # as it stands there, or the path that was expected
        "image": pl.UInt32,  # the image that it means; null where the dataset has none
        "split": pl.String,  # to which the file assigns the image, if any
        "id": pl.Int64,  # COCO image id, else null
        "outside": pl.Boolean,  # it was written so as to leave the dataset, and nothing inside fits
    }
)

#: One row each (image, split): an image that several splits list has several rows.
MEMBERSHIP = pl.Schema({"image": pl.UInt32, "split": pl.String})


@dataclass(frozen=True)
class NameList:
    """One list of class names in the dataset."""

    source: str  # the file
    names: tuple[tuple[int, str, int | None], ...]  # (id, name exactly as written, 1-based line)
    split: str | None = None  # the split that its annotation file belongs to
    count: int | None = None  # the number of classes that `nc` or `classes =` declares beside it
    declares_ids: bool = True  # False for a list of which only the names matter (VOC beside a labels.txt)
    in_annotations: bool = False  # it is part of an annotation file (COCO), whose ids it gives their labels
    complete: bool = True  # False where a part could not be read, which may declare what is missing here

    def by_id(self) -> dict[int, str]:
        """{id: name}; of repeated ids the first one."""
        table: dict[int, str] = {}
        for number, name, _ in self.names:
            table.setdefault(number, name)
        return table


@dataclass(frozen=True)
class DeclaredSplit:
    """A split as a file of the dataset declares it, whether an image is in it or not."""

    name: str
    source: str  # the file
    written: str  # the list or folder that it names, as written
    line: int | None = None  # of `source`, 1-based


def empty(schema: pl.Schema) -> pl.DataFrame:
    """A frame without rows that has these columns."""
    return pl.DataFrame(schema=schema)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it was read, with the place where each row came from. Nothing is repaired or dropped."""

    root: str  # as the user gave it
    format: str  # one of `formats.names()`: "voc", "coco", "yolo" (ultralytics), "darknet", ...
    images: pl.DataFrame = field(default_factory=lambda: empty(IMAGES))  # IMAGES
    boxes: pl.DataFrame = field(default_factory=lambda: empty(BOXES))  # BOXES
    shape_flaws: pl.DataFrame = field(default_factory=lambda: empty(SHAPE_FLAWS))  # SHAPE_FLAWS
    unread: pl.DataFrame = field(default_factory=lambda: empty(UNREAD))  # UNREAD
    references: pl.DataFrame = field(default_factory=lambda: empty(REFERENCES))  # REFERENCES
    membership: pl.DataFrame = field(default_factory=lambda: empty(MEMBERSHIP))  # MEMBERSHIP
    names: tuple[
        NameList, ...
    ] = ()  # the first one gives ids their labels, unless a list is in the annotations
    splits: tuple[str, ...] = ()  # the dataset's own names: "train", "valid", ...; () where it has none
    declared_splits: tuple[DeclaredSplit, ...] = ()  # those that a list, a yaml or a COCO file declares
    content: tuple[str, ...] = ()  # every file that training reads: images, annotations, lists, names; sorted
    fractions: bool = False  # the boxes are fractions of the image, as YOLO writes them
    notes: tuple[str, ...] = ()  # what the reader inferred or skipped, a sentence each
    #: Images whose annotation may be in a file of which nothing could be read. A001 reports the file once; what these
    #: images seem to lack follows from that, and is not reported.
    unreadable_annotation: frozenset[int] = frozenset()
    #: Files that look like annotations by their extension, and were not read; sorted.
    unread_files: tuple[str, ...] = ()
    #: Where the annotations of images without any may be, a phrase each: "labels/train: no such folder".
    leads: tuple[str, ...] = ()
    #: No image was looked for: `images` are those that the annotations declare, whether they exist or not.
    annotations_only: bool = False

    @property
    def unlisted(self) -> int:
        """How many images are in none of the splits; 0 where the dataset has none."""
        return self.images.height - self.membership["image"].n_unique() if self.splits else 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, by id where ids are declared, else the sorted labels that occur."""
        if self.names:
            return tuple(name for _, name in sorted(self.names[0].by_id().items()))
        return tuple(self.boxes["label"].drop_nulls().unique().sort().to_list())

    @property
    def task(self) -> Task:
        """What most boxes were annotated as; "boxes" where there are none."""
        shapes = self.boxes["shape"].drop_nulls().value_counts(sort=True)
        return TASKS.get(shapes["shape"][0], "boxes") if shapes.height else "boxes"


# ---------------------------------------------------------------------------------------------------------------------
# What measuring returns

#: One row an image, in the order of `IMAGES`. Where `status` is not "ok" or "damaged", what was not measured is null.
PIXELS = pl.Schema(
    {  # type: ignore[arg-type] # mypy joins types and instances of types to `object`
        "image": pl.UInt32,
        # "ok", "damaged" (decodes in part or conceals damage), "unreadable", "too-large"; null where no image was
        # looked at
        "status": pl.String,
        "reason": pl.String,  # why it is not ok, in the decoder's words if any; null where it is ok
        "damage_at": pl.Float64,  # share of the file before the damage, 0..1; null where unknown
        "size_bytes": pl.UInt64,
        "digest": pl.String,  # blake3 of the file's bytes, 64 hex digits; null where it cannot be read
        "format": pl.String,  # by content: "jpeg", "png", "bmp", "gif", "tiff", "webp", ...; null when it is no image
        "width": pl.UInt32,  # in pixels as stored; "too-large": as the header claims
        "height": pl.UInt32,
        "orientation": pl.UInt32,  # EXIF, as written: 1..8, or a value that EXIF does not know; null for none
        # Pillow's: "RGB", "L", "CMYK", "P", "RGBA", "I;16", ...; "RGB;16" and the like where the file has 16 bits a
        # channel of which Pillow keeps 8
        "mode": pl.String,
        "frames": pl.UInt32,  # of an animation, a file of several pages or pictures (MPO); usually 1
        "trailing_bytes": pl.UInt64,  # after the image's own end
        "brightness": pl.Float64,  # mean luma, 0..1
        "contrast": pl.Float64,  # standard deviation of the luma, 0..1
        "span": pl.Float64,  # highest less lowest luma of the reduced image, 0..1
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
        # `dihedral.NAMES`, "near" (changed in part), "source"; or "scene": no copy, but another picture of one place
        "relation": pl.String,
        "distance": pl.UInt32,  # bits of the hash that differ, 0..64; 0 for exact and source pairs
        "similarity": pl.Float64,  # correlation of the aligned thumbnails, -1..1; null where it was not needed
        "detail": pl.String,  # a sentence, with {a} and {b} for the two images; null where it was not needed
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


#: One row a label that a probe doubts, the surest first: as probe.json has them.
SUSPECTS = pl.Schema(
    {
        "kind": pl.String,  # "missing", "spurious", "moved", "label" or "double"
        "path": pl.String,  # of the image
        "annotation": pl.String,  # the file; null for an object without a box
        "line": pl.UInt32,
        "box": pl.UInt32,  # its index in the file, as in `BOXES`; null for an object without a box
        "label": pl.String,  # of the box
        "suggested_label": pl.String,  # null where the box should go
        "x1": pl.Float64,  # the edges that a detector suggests, in pixels of the image as stored; null likewise
        "y1": pl.Float64,
        "x2": pl.Float64,
        "y2": pl.Float64,
        "score": pl.Float64,  # the probability that the label is wrong, 0..1
    }
)


@dataclass(frozen=True)
class ProbedLabel:
    """What a detector learnt of one label, on images that it never saw."""

    ap50: float | None  # average precision at IoU 0.5, 0..1; None without a box
    boxes: int
    images: int
    learnable: bool
    confused_with: tuple[tuple[str, float], ...] = ()  # (label, share of its boxes that are taken for it)


@dataclass(frozen=True)
class LearningPoint:
    """mAP@50 by the number of images; nine of ten figures lie between `low` and `high`."""

    images: int  # in a forecast: how many more
    map50: float
    low: float
    high: float


@dataclass(frozen=True)
class Probe:
    """What a detector that was trained in folds says of the labels: a probe.json."""

    file: str  # as the user would write its path
    digest: str  # blake3 of the file, 64 hex digits
    fingerprint: str  # of the content that was probed
    suspects: pl.DataFrame  # SUSPECTS
    seed: int = 0
    folds: int = 0
    image_size: int = 0  # pixels a side of the square that the detector saw
    images: int = 0  # that were judged
    boxes: int = 0
    map50: float | None = None  # on images that the detector never saw, 0..1
    labels: Mapping[str, ProbedLabel] = field(default_factory=dict)
    expected_errors: Mapping[str, float] = field(
        default_factory=dict
    )  # {kind: labels that are wrong, in expectation}
    #: How far labels are what a detector takes the objects for: "kappa", "boxes", "p_value"; {} with one label.
    agreement: Mapping[str, float] = field(default_factory=dict)
    learning: tuple[LearningPoint, ...] = ()
    forecast: LearningPoint | None = None
    splits: Mapping[str, float] = field(default_factory=dict)  # {"validation_unlike_training": p-value, ...}
    outliers: tuple[str, ...] = ()  # paths of images that look like no other
    not_judged: tuple[tuple[str, int], ...] = ()  # (why, boxes)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What rules look at: the dataset, its pixels and its duplicates, and frames joined from them once."""

    dataset: Dataset
    pixels: pl.DataFrame  # PIXELS
    duplicates: pl.DataFrame  # PAIRS
    #: One row an image: `IMAGES`, `PIXELS` without keypoints, and `image_width`, `image_height` in pixels (Float64):
    #: measured, else declared, else null.
    images: pl.DataFrame
    #: One row a box: `BOXES` in pixels; `path`, `split`, `image_width`, `image_height` of its image; `finite` (all
    #: edges are known and finite); `unit_error` (pixels where fractions belong, B008); in YOLO the fractions `fx1`,
    #: `fy1`, `fx2`, `fy2`, null in other formats. YOLO's edges are null where the size of the image is unknown.
    boxes: pl.DataFrame
    labels: tuple[str, ...] = ()  # the labels that the user asked for; () for all
    group_regex: str = ""  # from the configuration: its first group names the recording of a path
    unannotated_is_negative: bool = (
        False  # an image of a split without annotation is one without objects (YOLO)
    )
    known_copies: pl.DataFrame | None = None  # `KNOWN_COPIES`; None where there is no list of known hashes
    #: No size of an image is known (YOLO's annotations alone): edges are shares, as if each image measured 1 by 1.
    in_shares: bool = False
    probe: Probe | None = None  # None where there is none, or it is of other content


# ---------------------------------------------------------------------------------------------------------------------
# What rules return

#: One row a finding. Where `measured_text` is set it stands for `measured`; likewise the limit.
FINDINGS = pl.Schema(
    {  # type: ignore[arg-type] # mypy joins types and instances of types to `object`
        "rule": pl.String,  # code
        "severity": pl.String,  # a `Severity`
        "image": pl.String,  # path; null where the finding is not about one image
        "annotation": pl.String,  # path of the annotation, list or names file
        "line": pl.UInt32,  # of that file, 1-based
        "box": pl.UInt32,  # as in `BOXES`, for people
        "row": pl.UInt32,  # the box in `Dataset.boxes`; null where the finding is not about one box
        "label": pl.String,
        "split": pl.String,
        "related": pl.List(pl.String),  # paths of other images and files that the finding is about
        "message": pl.String,  # one sentence without a full stop
        "measured": pl.Float64,
        "measured_text": pl.String,
        "limit": pl.Float64,
        "limit_text": pl.String,
        "unit": pl.String,  # of `measured` and `limit`: "px", "images", "IoU", ...
        "text": pl.String,  # what stands in the file, verbatim, where it could not be read
    }
)


@dataclass(frozen=True)
class Option:
    """A threshold of a rule."""

    name: str  # kebab-case, as written in trainworthy.toml
    default: float | str | bool | tuple[str, ...]
    meaning: str  # a phrase, with the unit
    source: str  # where the default comes from


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
    size: tuple[int, int] = (160, 120)  # width and height in pixels
    boxes: tuple[Box, ...] | None = ()  # None: it has no annotation at all
    split: str | None = "train"
    like: str = ""  # a copy of this earlier picture's file, byte for byte
    edit: Callable[[Image], Image] | None = None  # before it is saved
    mangle: Callable[[bytes], bytes] | None = None  # after it is saved
    save: Mapping[str, Any] = field(default_factory=dict)  # arguments of Pillow's save, e.g. {"quality": 40}


@dataclass(frozen=True)
class Example:
    """A tiny dataset that shows a rule: `demo.write` writes it to disk."""

    pictures: tuple[Picture, ...]
    format: str = "yolo"  # "voc", "coco", "yolo", "darknet"
    classes: tuple[str, ...] = ("cat", "dog")
    #: Files written last, over what the format wrote: {path: text, bytes, or a function of the bytes that stand there
    #: (b"" where there are none); None removes the file}.
    files: Mapping[str, str | bytes | Callable[[bytes], bytes] | None] = field(default_factory=dict)
    #: Fields of `config.Config`, e.g. {"options": {"N001": {...}}}.
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: What a probe.json says of it, beside its schema and the fingerprint of what is written; None for no probe.
    probe: Mapping[str, Any] | None = None
    #: For a dirty example: parts of the rule's findings, one mapping for each of them, in order, e.g.
    #: ({"image": "images/train/a.jpg", "box": 0},).
    expect: tuple[Mapping[str, Any], ...] = ()


#: (evidence, {option: value}) -> FINDINGS, made by `findings.rows` or `findings.one`.
Check = Callable[[Evidence, Mapping[str, Any]], pl.DataFrame]


@dataclass(frozen=True)
class Rule:
    """A rule: its reference page is the docstring of the module that makes it."""

    code: str  # a letter of `GROUPS` and three digits: "B001"; never reused
    name: str  # kebab-case: "box-out-of-bounds"
    severity: Severity  # unless the configuration changes it
    summary: str  # what one finding means, a phrase: "box reaches beyond the image"
    check: Check
    clean: Example  # has no finding of the rule
    dirty: Example  # the same dataset with the defect: has findings of this rule in addition, and of no other
    options: tuple[Option, ...] = ()
    needs: tuple[str, ...] = ()  # keys of `auditing.NEEDS`; where one is not met the rule is not applicable
    docs: str = ""  # filled in from the module's docstring

    @property
    def group(self) -> str:
        """'Images', 'Boxes', ...: the family that the code's letter names."""
        return GROUPS[self.code[0]]


#: The families of rules by the letter of their codes, in the catalogue's order.
GROUPS = {
    "I": "Images",
    "A": "Annotation files",
    "B": "Boxes",
    "P": "Polygons, keypoints and oriented boxes",
    "C": "Classes",
    "L": "Labels as a detector sees them",
    "D": "Duplicates and variety",
    "O": "Flags",
    "N": "Numbers",
    "S": "Splits",
}


# ---------------------------------------------------------------------------------------------------------------------
# What an audit returns


@dataclass(frozen=True)
class Outcome:
    """The result of one rule."""

    rule: Rule
    severity: Severity  # after the configuration
    status: Status
    findings: int = 0  # how many, waived ones included
    waived: int = 0  # how many of them a waiver accepts
    reason: str = ""  # why it is not applicable, or how it crashed


@dataclass(frozen=True)
class Waiver:
    """A person's acceptance of findings, bound to their content by their keys."""

    rule: str  # code
    findings: tuple[str, ...]  # keys: see `waivers.keys`
    reason: str
    author: str
    expires: date  # the last day on which it is valid
    where: str = ""  # the place that it accepts, for readers
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

    name: str  # of the dataset
    evidence: Evidence
    findings: pl.DataFrame  # FINDINGS + `key`: String, `waived`: UInt32 index into `waivers` or null
    outcomes: Mapping[
        str, Outcome
    ]  # by code, in the catalogue's order; rules that were deselected are absent
    waivers: tuple[Waiver, ...]
    settings: tuple[Setting, ...]
    fingerprint: str  # blake3 over the content of every file that training reads
    digests: Mapping[str, str]  # {path: blake3}, of `Dataset.content`
    verdict: Verdict
    not_checked: tuple[str, ...]  # sentences: what this audit did not check
    switched_off: tuple[str, ...]  # codes of blocking rules that did not run: any means no certificate
    command: str  # the command that made it, for the report
    created: str  # ISO 8601, UTC
    version: str

    @property
    def crashed(self) -> tuple[Outcome, ...]:
        """The rules that crashed; any means no certificate and exit code 2."""
        return tuple(outcome for outcome in self.outcomes.values() if outcome.status == "crashed")
