"""The frozen types that training and diagnosis share. Needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from trainworthy_audit.source import Locator

    Array = np.ndarray[Any, np.dtype[Any]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, 3) RGB

# ------------------------------------------------------------------------------------------------------------
# What may be trained on


@dataclass(frozen=True, eq=False)
class Sample:
    """An image that may be trained on, and its boxes."""

    path: str  # POSIX, relative to the dataset's root
    locator: Locator  # where its bytes lie: a file, or a member of a zip
    digest: str  # blake3 of the bytes that were certified, 64 hex digits
    boxes: Array  # (n, 4) float32 x1, y1, x2, y2 in pixels as stored, before EXIF orientation
    labels: Array  # (n,) int64, 0-based, indices into `CertifiedDataset.classes`
    crowd: Array  # (n,) bool: one box around many objects, ignored in training and evaluation
    width: int  # pixels, as stored
    height: int


@dataclass(frozen=True, eq=False)
class CertifiedDataset:
    """A dataset that passed the gate: certified, unchanged, and divided into splits."""

    root: str  # as the user gave it
    name: str  # of the run, unless another is asked for
    classes: tuple[str, ...]
    samples: Mapping[str, tuple[Sample, ...]]  # "train", "val", "test"; any may be empty
    certificate: Mapping[str, Any]  # as read, without its seal
    certificate_file: str = ""  # where it lies
    excluded: Mapping[str, str] = field(default_factory=dict)  # {path: why it is never loaded}
    waived: tuple[Mapping[str, Any], ...] = ()  # accepted findings: rule, where, reason, author, ...
    notes: tuple[str, ...] = ()  # what was decided on the way, a sentence each


# ------------------------------------------------------------------------------------------------------------
# Runs side by side


class ImageView(NamedTuple):
    """An image with the boxes of its annotation, or of one run."""

    title: str  # "annotated", or the run's name
    summary: str  # how many boxes, and how many of them are correct
    jpeg: str  # base64


class ComparedImage(NamedTuple):
    """An image as it is annotated, and as several runs see it."""

    path: str  # relative to the dataset's root
    views: tuple[ImageView, ...]


class SideBySide(NamedTuple):
    """What several runs find in the same images."""

    images: tuple[ComparedImage, ...]
    notes: tuple[str, ...]  # which images these are, and what could not be shown, a sentence each
    conf: float  # the lowest score of a detection that is drawn


# ------------------------------------------------------------------------------------------------------------
# Probes


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong."""

    kind: str  # "missing", "spurious", "moved", "label" or "double"
    image: str  # its path
    annotation: str | None  # the file; None for "missing"
    line: int | None
    box: int | None  # its index in the annotation file; None for "missing"
    label: str | None
    suggested: Mapping[str, Any] | None  # {"label", "bbox": [x1, y1, x2, y2]}; None where the box should go
    score: float  # the probability that the label is wrong, 0..1


@dataclass(frozen=True)
class LabelResult:
    """What can be learnt of one label."""

    ap50: float  # NaN without a box
    boxes: int
    images: int
    learnable: bool
    confused_with: tuple[tuple[str, float], ...]  # (label, share of its boxes that are taken for it)


class LearningPoint(NamedTuple):
    """mAP@50 of heads that were trained on so many images, on images that they never saw."""

    images: int
    map50: float
    low: float  # between `low` and `high` lie nine of ten figures on other images of the same kind
    high: float


class Forecast(NamedTuple):
    """What a power law expects of more images."""

    more_images: int
    map50: float
    low: float
    high: float


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found. Pixels are those of the image as stored, edges, origin top-left."""

    name: str
    fingerprint: str
    seed: int
    folds: int
    image_size: int
    cpu_seconds: float
    images: int
    boxes: int
    map50: float
    map: float
    labels: Mapping[str, LabelResult]
    suspects: tuple[Suspect, ...]  # the surest first
    expected_errors: Mapping[str, float]  # {kind: how many labels are wrong, in expectation}
    agreement: Mapping[str, float] = field(default_factory=dict)  # "kappa", "boxes", "p_value"
    learning: tuple[LearningPoint, ...] = ()
    forecast: Forecast | None = None
    splits: Mapping[str, float] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    not_judged: tuple[tuple[str, int], ...] = ()  # (why, boxes)
    notes: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------
# Curves

#: The names that series have, whatever a trainer calls them. A part of a loss is "loss/NAME" or "val_loss/NAME".
SERIES = (
    "loss",  # training loss, the total
    "val_loss",  # validation loss, the total
    "map50",  # validation mAP at IoU 0.5, 0..1
    "map",  # validation mAP at IoU 0.5 to 0.95, 0..1
    "precision",  # 0..1
    "recall",  # 0..1
    "iou",  # mean IoU of matched boxes, 0..1
    "lr",  # learning rate
    "map50_any_class",  # probe: validation mAP at IoU 0.5 with all classes taken for one
    "map50_train",  # probe: mAP at IoU 0.5 on a small fixed part of the training images
    "map50_golden",  # mAP at IoU 0.5 on a golden set
)


@dataclass(frozen=True)
class Series:
    """One logged quantity: `value[i]` was logged at `step[i]`.

    Steps rise. Values may be NaN or infinite: what a trainer logs is kept.
    """

    step: Floats  # (n,)
    value: Floats  # (n,)


@dataclass(frozen=True)
class Curves:
    """What a log says of one run: its series, and facts that the trainer logged or that follow from the log."""

    series: Mapping[str, Series] = field(default_factory=dict)  # by name: see `SERIES`
    unit: Literal["epoch", "iteration"] = "epoch"  # what steps count; epochs count from 1
    name: str = ""  # which run of the log; "" if it has only one
    format: str = ""  # the log format, a name in `diagnosis.logs.catalogue()`
    planned: float | None = None  # how many steps the run was to have, if the log says

    #: What else the log says; what it does not say is missing. "mosaic_off" (the step from which mosaic was off),
    #: "pretrained" and "continued" (true, or from where), "finished", "resumed_at" (steps), "classes", "val_images" ...
    facts: Mapping[str, Any] = field(default_factory=dict)

    notes: tuple[str, ...] = ()  # what the reader inferred or left out, a sentence each


# ------------------------------------------------------------------------------------------------------------
# Diagnosis


@dataclass(frozen=True)
class Figure:
    """A number in a sentence, and what it is: anybody can count it again from the log."""

    kind: str  # a key of `diagnosis.figures.KINDS`
    series: str  # a name of `SERIES`; of a fact its name
    span: tuple[float, float] | None  # the first and the last step that it is counted over
    value: float
    shown: str  # as the sentence has it; "" where it has it in words only


@dataclass(frozen=True)
class Evidence:
    """One measured reason for a diagnosis."""

    what: str  # a sentence
    measured: float | str | None = None
    limit: float | str | None = None  # what it was compared with
    span: tuple[float, float] | None = None  # the first and the last step that it is about
    figures: tuple[Figure, ...] = ()  # every number in the sentence


@dataclass(frozen=True)
class Stop:
    """Whether to stop now."""

    should: bool
    why: str
    at: float | None = None  # the step at which the best weights are
    over: bool = False  # whether the run has already ended: all that was planned is done


@dataclass(frozen=True)
class CitedRule:
    """One rule's findings in an audit of the dataset, which a diagnosis cites as a possible cause."""

    rule: str  # its code
    name: str
    findings: int
    waived: int  # how many of them
    message: str  # of the first finding, waived ones first


@dataclass(frozen=True)
class Distrust:
    """Why the mAP of a run cannot be trusted, whatever its curve looks like."""

    title: str
    why: str  # sentences
    compared: tuple[str, ...]  # validation beside images that training cannot have seen, a sentence each
    audit: str  # the audit.json
    link: str  # to the findings in the audit's report; "" where there is none
    command: str  # what mends it


@dataclass(frozen=True)
class Diagnosis:
    """Which pattern the curves of a run show, why, and what to do."""

    pattern: (
        str | None
    )  # such as "overtraining"; None if the log does not support a verdict: `evidence[0]` says why
    confidence: float  # the probability of `pattern`, 0..1; 0 without one
    patterns: Mapping[str, float]  # the probability of each pattern, 0..1; they sum to 1
    evidence: tuple[Evidence, ...]  # the strongest first
    best_step: float | None  # of the best evaluation, in `curves.unit`s; None without one
    best_map: float | None  # its mAP as logged, 0..1: mAP@50 if the log has it, else mAP@50-95
    stop: Stop
    meaning: str
    causes: tuple[str, ...]  # likely ones
    advice: tuple[str, ...]
    refuted_by: str = ""  # what would show that it is another pattern
    experiment: str = ""  # the one thing to try next
    curves: Curves = field(default_factory=Curves)  # what was diagnosed
    source: str = ""  # the path of the log
    cited: tuple[
        CitedRule, ...
    ] = ()  # findings of the dataset's audit that may be the cause, waived ones first
    distrust: Distrust | None = None  # of a leak between training and validation
