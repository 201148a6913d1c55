"""The gate: a folder and its certificate -> what may be trained on, or a refusal. There is no way around it."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from blake3 import blake3

from trainworthy_audit import certificate as certificates
from trainworthy_audit import config as configs
from trainworthy_audit import formats, splits
from trainworthy_audit.errors import CertificateError
from trainworthy_audit.formats.fractions import in_pixels
from trainworthy_audit.operations.split.division import RATIOS, divide
from trainworthy_audit.source import fetch, open_source
from trainworthy_audit.types import SEVERITIES
from trainworthy_train.errors import RefusedError, TrainingError
from trainworthy_train.types import Cleared, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.config import Config
    from trainworthy_audit.source import Source
    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Dataset

#: What follows every refusal, so that nobody wonders whether something was trained.
STOPS = "  Training stops, because nobody has approved"

#: The roles of splits that training uses.
PARTS: tuple[splits.Role, ...] = ("train", "val", "test")

REJECTED = "the audit rejected this dataset"

NAMED = 5  # differences that a message names before it counts the rest

#: Settings that decide what is read and wanted, rather than how strictly: they count where they are given.
READING = ("format", "annotations", "group-regex", "labels")

EDGES = ("x1", "y1", "x2", "y2")


def clear(
    dataset: Path | Url,
    *,
    certificate: Path | None = None,
    config: Path | None = None,
    labels: Sequence[str] = (),
    seed: int = 0,
    every_byte: bool = True,
    whole: bool = False,
) -> Cleared:
    """What may be trained on of the folder or zip `dataset`, divided for training, validation and test.

    `certificate` is its file, in place of reports/NAME/certificate.json; `config` stands in place of the
    trainworthy.toml in or beside the dataset; `labels` are those to train on, all where there are none; `seed`
    decides how images without a split are divided. With `every_byte` every file is compared with the certificate;
    without it only the annotations: enough beside a process that compares everything, since `read` checks each
    image again. With `whole` all images are for "test", whatever split they are in.

    Raises `RefusedError` where the certificate does not cover what lies there, or is weaker than the configuration
    demands, `TrainingError` where there is nothing to train on, and `DatasetError`.
    """
    source = open_source(dataset)
    shown = shlex.quote(str(dataset))
    file = certificate or Path("reports") / source.name / "certificate.json"
    proof = _certificate(file, shown)
    _demand(configs.load(dataset, file=config), proof, shown)
    found = certificates.verify(source, proof, every_byte=every_byte)
    if every_byte:
        _compare(source, found, proof, shown)
    elif found.changed:
        raise _changed(found.changed[0], "has other content than at the start")
    read_, excluded, notes = _usable(found.dataset or _unreadable(source, proof), proof)
    classes, numbers = _classes(read_, labels, shown)
    if whole:
        parts = {path: "test" for path in read_.images["path"] if path not in excluded}
    else:
        parts = _divided(read_, proof, excluded, seed, notes)
    samples = _samples(source, read_, proof, parts, numbers, notes)
    if not samples["test" if whole else "train"]:
        raise TrainingError(
            f"{dataset} has no image to train on\n  {_sizes(samples, excluded)}",
            next_step=f"trainworthy split {shown} --out DIR --again",
        )
    return Cleared(
        root=str(dataset),
        name=source.name,
        classes=classes,
        samples=samples,
        certificate=proof,
        certificate_file=str(file),
        excluded=excluded,
        waived=tuple(proof["waivers"]),
        notes=tuple(notes),
    )


def read(sample: Sample) -> bytes:
    """The bytes of a sample's file. Raises `RefusedError` where they are not those that were certified."""
    try:
        data = fetch(sample.locator)
    except OSError as error:
        raise _changed(sample.path, f"cannot be read any more: {error.strerror or error}") from error
    if blake3(data).hexdigest() != sample.digest:
        raise _changed(sample.path, "has other content than at the start")
    return data


def _changed(path: str, how: str) -> RefusedError:
    return RefusedError(
        f"the dataset was changed while it was trained on\n  {path} {how}.\n{STOPS} the new content.",
        next_step="trainworthy audit DATASET",
    )


# ------------------------------------------------------------------------------------------------------------
# The certificate


def _certificate(place: Path, shown: str) -> Mapping[str, Any]:
    """The certificate as it was sealed. Raises `RefusedError` with what the audit said, where there is none."""
    again = f"trainworthy audit {shown}"
    try:
        proof = certificates.read(place, dataset=shown)
    except CertificateError as error:
        why = _why_none(place)
        repair = f"trainworthy fix {shown} --out DIR" if why.startswith(REJECTED) else ""
        raise RefusedError(
            f"{why or error}\n{STOPS} this dataset.", next_step=repair or error.next_step or again
        ) from error
    if "images" not in proof or "quarantined" not in proof:
        raise RefusedError(
            f"{place} was issued by trainworthy {proof['version']}, which noted less than training needs\n"
            "  It lacks the sizes of the images and the list of those that cannot be used.",
            next_step=again,
        )
    return proof


def _why_none(place: Path) -> str:
    """What the report beside a certificate that is not there says of the dataset; '' where there is none."""
    from trainworthy_audit.report.json import read_head

    if place.exists():
        return ""
    try:
        head = read_head(place.parent / "audit.json")
        blocking = {
            code: rule["findings"] - rule["waived"]
            for code, rule in head["rules"].items()
            if rule["severity"] == "error" and rule["findings"] > rule["waived"]
        }
        if head["verdict"] != "rejected":
            return f"{place.parent} holds an audit without a certificate: not every blocking rule ran"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    named = ", ".join(f"{code} ({count:,})" for code, count in blocking.items())
    return (
        f"{REJECTED}: {named or 'a rule crashed'}\n  The report is {place.parent / 'index.html'}. "
        "What blocks is repaired by `trainworthy fix`, or accepted, with a reason, by `trainworthy waive`."
    )


def _demand(config: Config, proof: Mapping[str, Any], shown: str) -> None:
    """Raise `RefusedError` where the certificate asked for less than the configuration does, or for something else."""
    ran, asked = proof["rules"], proof["settings"]
    weaker = []
    for rule in config.rules():
        severity = config.severity_of(rule)
        if rule.code not in ran:
            if severity == "error":
                weaker.append(f"{rule.code} did not run")
            continue
        had = ran[rule.code]["severity"]
        if SEVERITIES.index(had) > SEVERITIES.index(severity):
            weaker.append(f"{rule.code} was {had}, and is to be {severity}")
        for name, value in config.options_of(rule).items():
            setting = f"rules.{rule.code}.{name}"
            if setting in asked and asked[setting] != _plain(value):
                weaker.append(
                    f"{setting} was {configs.spelled(asked[setting])}, and is to be {configs.spelled(value)}"
                )
    given = {setting.name: setting for setting in config.settings if setting.origin != "default"}
    weaker += [
        f"{name} was {configs.spelled(asked[name])}, and is to be {configs.spelled(given[name].value)}"
        for name in READING
        if name in given and asked.get(name) != _plain(given[name].value)
    ]
    if weaker:
        told = "\n".join(f"  {said}" for said in weaker[:NAMED])
        more = f"\n  and {len(weaker) - NAMED:,} more" if len(weaker) > NAMED else ""
        raise RefusedError(
            f"the certificate was issued under other rules than the configuration demands\n{told}{more}\n"
            "  Training stops, because nobody has approved the dataset under these.",
            next_step=f"trainworthy audit {shown}  (or, with the settings of its audit, train --config FILE)",
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 - a setting
    return list(value) if isinstance(value, tuple) else value


def _unreadable(source: Source, proof: Mapping[str, Any]) -> Dataset:
    """Raise the `DatasetError` that says why the dataset can no longer be read."""
    return formats.read(source, proof["dataset"]["format"], proof["settings"].get("annotations", ""))


def _compare(source: Source, found: certificates.Verification, proof: Mapping[str, Any], shown: str) -> None:
    """Raise `RefusedError` where any file is not what was certified, or where a waiver has expired."""
    if found.holds:
        return
    again = f"trainworthy audit {shown}"
    if len(found.changed) + len(found.removed) == found.files:
        raise RefusedError(
            f"the certificate is of another dataset: {proof['name']}, of {found.files:,} files\n"
            f"  None of them lies in {source.path} as it was certified.\n{STOPS} this dataset.",
            next_step=again,
        )
    files = found.changed or found.added or found.removed
    told = "\n".join(certificates.differences(found))
    raise RefusedError(
        f"certificate no longer {'describes this dataset' if files else 'holds'}\n{told}\n"
        f"{STOPS} {'the new content' if files else 'this since'}.",
        next_step=again,
    )


# ------------------------------------------------------------------------------------------------------------
# What can be used


def _usable(dataset: Dataset, proof: Mapping[str, Any]) -> tuple[Dataset, dict[str, str], list[str]]:
    """The dataset, {image: why it is never loaded}, and what there is to say of it.

    What the audit found and a person accepted still does harm: a picture that does not decode cannot be learnt from,
    and a box that is lost makes its object part of the background. Such images stand aside, whole.
    """
    excluded: dict[str, str] = dict(proof["quarantined"])

    def exclude(images: pl.Series, why: str) -> None:
        for path in dataset.images["path"].gather(images.drop_nulls().unique().sort()):
            excluded.setdefault(path, why)

    exclude(dataset.unread["image"], "an annotation of it cannot be read (A001)")
    exclude(
        pl.Series(sorted(dataset.unreadable_annotation), dtype=pl.UInt32),
        "its annotation cannot be read (A001)",
    )
    exclude(
        dataset.boxes.filter(pl.col("label").is_null())["image"], "a box of it has an unknown label (C001)"
    )
    sized = _sized(dataset, proof)
    exclude(sized.filter(~pl.col("finite"))["image"], "a box of it has no finite edges (B003)")
    if dataset.format in {"voc", "coco"}:  # in YOLO, a picture without a file of labels shows nothing
        silent = dataset.images.filter(pl.col("annotation").is_null())["image"]
        exclude(silent, "nothing says what it shows (A003)")
    for path in dataset.images["path"]:
        if path not in proof["images"]:
            excluded.setdefault(path, "its size is not known")
    notes = [
        f"{count:,} image{'s are' if count > 1 else ' is'} never loaded: {why}"
        for why, count in Counter(why.partition(":")[0] for why in excluded.values()).items()
    ]
    return dataset, excluded, notes


def _sized(dataset: Dataset, proof: Mapping[str, Any]) -> pl.DataFrame:
    """The boxes in pixels, with `path`, `image_width` and `image_height`; those of no image are left out."""
    sizes = pl.DataFrame(
        [(path, float(size[0]), float(size[1])) for path, size in proof["images"].items()],
        schema={"path": pl.String, "image_width": pl.Float64, "image_height": pl.Float64},
        orient="row",
    )
    images = dataset.images.select("image", "path").join(sizes, on="path", how="left", maintain_order="left")
    boxes = dataset.boxes.join(images, on="image", how="inner", maintain_order="left")
    return in_pixels(boxes, fractions=dataset.fractions)


def _classes(dataset: Dataset, labels: Sequence[str], shown: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """The labels to train on in their order, and {label: number}."""
    known = list(dict.fromkeys(dataset.classes))
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise TrainingError(
            f"--labels: the dataset has no {', '.join(map(repr, unknown))}\n"
            f"  It has {', '.join(map(repr, known)) or 'no label at all'}.",
            next_step=f"trainworthy train {shown} --labels {shlex.quote(','.join(known))}",
        )
    classes = tuple(dict.fromkeys(labels)) or tuple(known)
    if not classes:
        raise TrainingError(
            f"{shown} has no label: there is nothing to learn", next_step=f"trainworthy audit {shown}"
        )
    return classes, {label: number for number, label in enumerate(classes)}


# ------------------------------------------------------------------------------------------------------------
# Splits


def _divided(
    dataset: Dataset, proof: Mapping[str, Any], excluded: Mapping[str, str], seed: int, notes: list[str]
) -> dict[str, str]:
    """{image: "train", "val" or "test"}: the dataset's own splits, completed by the rule of `trainworthy split`."""
    images = dataset.images.filter(~pl.col("path").is_in(list(excluded)))
    there = {splits.role(split) for split in images["split"].drop_nulls().unique()}
    if {"train", "val"} <= there:
        given = dict(images.select("path", "split").iter_rows())
        unused = Counter(
            split for split in given.values() if split is None or splits.role(split) not in PARTS
        )
        notes += [
            f"{count:,} image{'s' if count > 1 else ''} of "
            f"{'no split' if split is None else f'the split {split!r}'} not used"
            for split, count in unused.items()
        ]
        return {
            path: role for path, split in given.items() if split and (role := splits.role(split)) in PARTS
        }
    if there and not there & {"train", "other"}:
        return {
            path: splits.role(split) for path, split in images.select("path", "split").iter_rows() if split
        }
    ratios = RATIOS if not there else RATIOS[:2]
    scenes = np.array([proof["images"][path][2] for path in images["path"]], dtype=np.int64)
    division = divide(images, dataset.boxes, scenes, ratios, seed)
    parts: dict[str, str] = {
        path: splits.role(split) for path, split in zip(images["path"], division.split, strict=True)
    }
    counts = Counter(parts.values())
    notes.append(
        "The dataset does not say which images are for validation: divided by the rule of `trainworthy split` into "
        + ", ".join(f"{name} {counts[name]:,}" for name in PARTS if counts[name])
    )
    return parts


# ------------------------------------------------------------------------------------------------------------
# Samples


def _samples(  # noqa: PLR0917 - as above
    source: Source,
    dataset: Dataset,
    proof: Mapping[str, Any],
    parts: Mapping[str, str],
    numbers: Mapping[str, int],
    notes: list[str],
) -> dict[str, tuple[Sample, ...]]:
    """{"train", "val", "test": samples}, each sorted by path, boxes clipped to their image."""
    boxes = _sized(dataset, proof).filter(pl.col("path").is_in(list(parts)))
    wanted = boxes.filter(pl.col("label").is_in(list(numbers)))
    if wanted.height < boxes.height:
        notes.append(f"{boxes.height - wanted.height:,} boxes of labels that were not asked for are left out")
    clipped = wanted.select(
        "path",
        *(
            pl.col(edge).clip(0.0, pl.col(f"image_{side}"))
            for edge, side in zip(EDGES, ("width", "height") * 2, strict=True)
        ),
        pl.col("label").replace_strict(numbers, return_dtype=pl.Int64).alias("label"),
        (pl.col("crowd").fill_null(0.0) > 0).alias("crowd"),
    )
    whole = clipped.filter(pl.col("x2") > pl.col("x1"), pl.col("y2") > pl.col("y1"))
    if whole.height < clipped.height:
        notes.append(f"{clipped.height - whole.height:,} boxes without area inside their image are left out")
    by_path = {
        key[0]: part for key, part in whole.partition_by("path", as_dict=True, maintain_order=True).items()
    }
    nothing = whole.clear()
    made: dict[str, list[Sample]] = {name: [] for name in PARTS}
    for path in sorted(parts):
        rows = by_path.get(path, nothing)
        width, height, _scene = proof["images"][path]
        made[parts[path]].append(
            Sample(
                path=path,
                locator=source.entries[path].locator,
                digest=proof["files"][path],
                boxes=rows.select(EDGES).to_numpy().astype(np.float32).reshape(-1, 4),
                labels=rows["label"].to_numpy().astype(np.int64),
                crowd=rows["crowd"].to_numpy().astype(np.bool_),
                width=width,
                height=height,
            )
        )
    return {name: tuple(samples) for name, samples in made.items()}


def _sizes(samples: Mapping[str, Sequence[Sample]], excluded: Mapping[str, str]) -> str:
    told = ", ".join(f"{name} has {len(found):,}" for name, found in samples.items())
    return f"{told}; {len(excluded):,} cannot be used."
