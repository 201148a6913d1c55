"""What an audit says of each image, as plain rows for a viewer, and the images as files that it can open."""

from __future__ import annotations

import mimetypes
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from blake3 import blake3

from trainworthy_audit import dihedral
from trainworthy_audit.errors import OutputError
from trainworthy_audit.source import fetch
from trainworthy_audit.source.remote import is_url

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.dihedral import Turn
    from trainworthy_audit.source import Entry, Source
    from trainworthy_audit.types import AuditResult

#: The tag, and the view, of what was accepted.
WAIVED = "waived"

#: A box that reaches this many image sizes away would only break a viewer's canvas.
FAR = 1000

#: The columns of flags, and what viewers call them.
FLAGS = {"truncated": "truncated", "difficult": "difficult", "occluded": "occluded", "crowd": "iscrowd"}

Progress = Callable[[int, int], None]


def rows(audit: AuditResult) -> Iterator[dict[str, Any]]:
    """What FiftyOne shows of each image, in order: one plain dict an image, the fields of its sample.

    `boxes` holds those that can be drawn, their edges as fractions of the picture as browsers show it; `undrawn` says
    what the others are.
    """
    on_images, on_boxes = _findings(audit)
    boxes = _boxes(audit, on_boxes)
    splits = _lists(audit.evidence.dataset.membership, "image", "split")
    group = _duplicate_groups(audit)
    for image in audit.evidence.images.iter_rows(named=True):
        said = on_images.get(image["path"], [])
        drawn, undrawn = boxes.get(image["image"], ([], []))
        yield {
            "path": image["path"],
            "tags": unique([*splits.get(image["image"], []), *_codes(said), *_waived_tag(said)]),
            "metadata": _metadata(image),
            "findings": _codes(said),
            "blocks": any(finding["severity"] == "error" and finding["waived"] is None for finding in said),
            "waived": _codes(said, waived=True),
            "messages": [finding["told"] for finding in said],
            "finding_keys": _keys(said),
            "damage": None
            if image["status"] == "ok"
            else f"{image['status']}: {image['reason'] or 'not decoded'}",
            "duplicate_group": group.get(image["image"]),
            "undrawn": undrawn,
            "annotation": image["annotation"],
            "boxes": drawn,
        }


def without_image(audit: AuditResult) -> list[dict[str, Any]]:
    """The findings that are on no image of the dataset: on a label, a split, a file, or the dataset as a whole."""
    known = audit.evidence.images["path"].implode()
    rest = audit.findings.filter(~pl.col("image").is_in(known).fill_null(value=False))
    columns = ["rule", "severity", "image", "annotation", "line", "label", "split", "message", "key"]
    return rest.select(*columns, pl.col("waived").is_not_null().alias("waived")).to_dicts()


def _findings(
    audit: AuditResult,
) -> tuple[dict[str, list[dict[str, Any]]], dict[tuple[Any, ...], list[dict[str, Any]]]]:
    """The findings by image, and by (image, annotation, box); each with `told`: the sentence that people read."""
    on_images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    on_boxes: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for finding in audit.findings.filter(pl.col("image").is_not_null()).iter_rows(named=True):
        finding["told"] = _told(finding)
        on_images[finding["image"]].append(finding)
        if finding["box"] is not None:
            on_boxes[finding["image"], finding["annotation"], finding["box"]].append(finding)
    return on_images, on_boxes


def _told(finding: Mapping[str, Any]) -> str:
    """'B001 error: box reaches ... (labels/a.txt:3)'."""
    line = "" if finding["line"] is None else f":{finding['line']}"
    place = f" ({finding['annotation']}{line})" if finding["annotation"] else ""
    others = f"; see {', '.join(finding['related'][:5])}" if finding["related"] else ""
    grade = finding["severity"] if finding["waived"] is None else f"{finding['severity']}, waived"
    return f"{finding['rule']} {grade}: {finding['message']}{place}{others}"


def _codes(said: Sequence[Mapping[str, Any]], *, waived: bool = False) -> list[str]:
    return unique(finding["rule"] for finding in said if (finding["waived"] is not None) == waived)


def _waived_tag(said: Sequence[Mapping[str, Any]]) -> list[str]:
    return [WAIVED] if any(finding["waived"] is not None for finding in said) else []


def _keys(said: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{finding['rule']} {finding['key']}" for finding in said if finding["waived"] is None]


def unique(values: Iterable[str]) -> list[str]:
    """Each value once, in the order of their first appearances."""
    return list(dict.fromkeys(values))


def _lists(frame: pl.DataFrame, key: str, value: str) -> dict[Any, list[Any]]:
    return dict(frame.group_by(key, maintain_order=True).agg(value).iter_rows())


def _duplicate_groups(audit: AuditResult) -> dict[int, str]:
    pairs = audit.evidence.duplicates
    found: dict[int, str] = {}
    for number, *both in pairs.select("group", "a", "b").iter_rows():
        for image in both:
            found.setdefault(image, f"copies {number:04d}")
    return found


def _metadata(image: Mapping[str, Any]) -> dict[str, Any]:
    """Size and kind, as browsers show the picture: turned by its EXIF orientation."""
    width, height = image["image_width"], image["image_height"]
    width, height = dihedral.turn_size(_turn(image), width, height)
    guess = mimetypes.guess_type(image["path"])[0] or "application/octet-stream"
    return {
        "_cls": "ImageMetadata",
        "size_bytes": image["size_bytes"],
        "mime_type": f"image/{image['format']}" if image["format"] else guess,
        "width": int(width) if width else None,
        "height": int(height) if height else None,
    }


def _turn(image: Mapping[str, Any]) -> Turn:
    """How a browser turns the picture: it heeds the EXIF orientation of a JPEG."""
    return dihedral.from_exif(image["orientation"] if image["format"] == "jpeg" else None)


def _boxes(
    audit: AuditResult, on_boxes: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]]
) -> dict[int, tuple[list[dict[str, Any]], list[str]]]:
    """{image: (the boxes that can be drawn, what is said of the others)}."""
    fractions = {
        edge: pl.col(edge) / pl.col("image_width" if edge[0] == "x" else "image_height")
        for edge in ("x1", "y1", "x2", "y2")
    }
    frame = audit.evidence.boxes.join(
        audit.evidence.images.select("image", "orientation", "format"),
        on="image",
        how="left",
        maintain_order="left",
    ).with_columns(
        pl.concat_list(fractions.values()).alias("share"),
        pl.all_horizontal(
            pl.col("x2") > pl.col("x1"),
            pl.col("y2") > pl.col("y1"),
            *(share.is_finite() & (share.abs() <= FAR) for share in fractions.values()),
        )
        .fill_null(value=False)
        .alias("drawable"),
    )
    found: dict[int, tuple[list[dict[str, Any]], list[str]]] = defaultdict(lambda: ([], []))
    for box in frame.iter_rows(named=True):
        said = on_boxes.get((box["path"], box["annotation"], box["box"]), [])
        drawn, undrawn = found[box["image"]]
        if box["drawable"]:
            drawn.append(_box(box, said))
        else:
            undrawn.append(_undrawable(box, said))
    return found


def _box(box: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ((x1, y1, x2, y2),) = dihedral.turn_boxes(np.array([box["share"]]), _turn(box)).tolist()
    return {
        "label": _label(box),
        "bounding_box": [x1, y1, x2 - x1, y2 - y1],
        "tags": unique([*_codes(said), *_waived_tag(said)]),
        "findings": _codes(said),
        "waived": _codes(said, waived=True),
        "message": "; ".join(finding["told"] for finding in said) or None,
        "finding_keys": _keys(said),
        "annotation": box["annotation"],
        "line": box["line"],
        "box": box["box"],
        # a flag other than 0 and 1 is neither; rule O004 speaks of it
        **{shown: {0.0: False, 1.0: True}.get(box[flag]) for flag, shown in FLAGS.items()},
    }


def _label(box: Mapping[str, Any]) -> str:
    return box["label"] if box["label"] is not None else f"(class {box['class_id']}, in no list)"


def _undrawable(box: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> str:
    """'labels/a.txt:3 cat, x 5 to 5, y 9 to 12: B002'."""
    place = box["annotation"] if box["line"] is None else f"{box['annotation']}:{box['line']}"
    x1, y1, x2, y2 = ("?" if box[edge] is None else f"{box[edge]:g}" for edge in ("x1", "y1", "x2", "y2"))
    codes = f": {', '.join(_codes(said))}" if _codes(said) else ""
    return f"{place} {_label(box)}, x {x1} to {x2}, y {y1} to {y2}{codes}"


# ------------------------------------------------------------------------------------------------------------
# Pictures as files


def media_files(source: Source, audit: AuditResult) -> list[tuple[str, str]]:
    """The images that FiftyOne cannot show where they lie, as (path, where below the media folder).

    It opens files, by names in UTF-8 with the extension of an image: members of a zip and a few others are copied.
    """
    kinds = dict(audit.evidence.images.select("path", "format").iter_rows())
    return [
        (path, path if _is_image(path) else f"{path}.{kind or 'jpg'}")
        for path, kind in kinds.items()
        if not _servable(source.entries[path])
    ]


def _is_image(path: str) -> bool:
    return (mimetypes.guess_type(path)[0] or "").startswith("image/")


def _servable(entry: Entry) -> bool:
    try:
        entry.locator.file.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return entry.locator.member is None and not is_url(entry.locator.file) and _is_image(entry.path)


def copy_media(
    source: Source, audit: AuditResult, media: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Copy the images that FiftyOne cannot show where they lie to `media`; those that are there already stay.

    Returns {path: its copy}. An image that cannot be read has a place, but no file there. Raises `OutputError`.
    """
    digests = dict(audit.evidence.images.select("path", "digest").iter_rows())
    wanted = media_files(source, audit)
    copies = {path: media / below for path, below in wanted}
    for number, (path, copy) in enumerate(copies.items(), start=1):
        entry = source.entries[path]
        try:
            if not _same(copy, entry.size, digests[path]):
                copy.parent.mkdir(parents=True, exist_ok=True)
                _replace(copy, entry)
        except OSError as error:
            raise OutputError(
                f"cannot copy {path} for FiftyOne to {copy}: {error.strerror or error}",
                next_step=f"df -h {media.parent}",
            ) from error
        if progress:
            progress(number, len(copies))
    return copies


def _replace(copy: Path, entry: Entry) -> None:
    try:
        data = fetch(entry.locator)
    except OSError:  # a damaged member of a zip: rule I001 speaks of it
        copy.unlink(missing_ok=True)
        return
    part = copy.with_name(copy.name + ".part")
    part.write_bytes(data)
    part.replace(copy)


def _same(copy: Path, size: int, digest: str | None) -> bool:
    if digest is None or not copy.is_file() or copy.stat().st_size != size:
        return False
    return blake3(copy.read_bytes()).hexdigest() == digest
