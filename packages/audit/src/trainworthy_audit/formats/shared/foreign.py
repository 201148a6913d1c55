"""What annotations look like that nobody here reads: other formats, and files of a known format in the wrong place."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from trainworthy_audit.formats.shared.paths import file_name, folder, slashes
from trainworthy_audit.source import IMAGE_SUFFIXES
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainworthy_audit.source import Source


class Kind(NamedTuple):
    """A kind of annotations."""

    title: str
    """For people: "LabelMe"."""
    remedy: str = ""
    """What to do, a clause; "" where the kind is one that is read."""


YOLO = Kind("YOLO labels")
_VOC = Kind("Pascal VOC")
_COCO = Kind("COCO")
DETECTIONS = Kind("a detector's predictions, with a confidence in each row")
IMAGE_LIST = Kind("a list of images")

_EXPORT = "convert it to COCO, Pascal VOC or YOLO, for instance with datumaro"
_CVAT = Kind("CVAT", "export the task from CVAT as COCO 1.0 or Pascal VOC 1.1")
_LABELME = Kind("LabelMe", "convert it with `labelme2coco` or labelme's own labelme2voc.py")
_LABEL_STUDIO = Kind("Label Studio", "export the project from Label Studio as COCO, Pascal VOC or YOLO")
_VIA = Kind("VIA (VGG Image Annotator)", "export from VIA as COCO (Annotation, Export Annotations)")
_VOTT = Kind("VoTT", "export the project from VoTT as Pascal VOC")
_CREATEML = Kind("CreateML", _EXPORT)
_KITTI = Kind("KITTI", _EXPORT)
DOTA = Kind("DOTA's oriented boxes")
_OPENIMAGES = Kind("OpenImages", _EXPORT)
_WIDER = Kind("WIDER FACE", _EXPORT)
_MOT = Kind("MOT", _EXPORT)
_TFRECORD = Kind("TFRecord", "export from the tool that made it as COCO or Pascal VOC")
_CSV = Kind("a table of boxes", "convert it to COCO, Pascal VOC or YOLO")
_PER_IMAGE = Kind("a json of its own for each image", "convert it to COCO, Pascal VOC or YOLO")

#: Of a file only its beginning is looked at, in bytes.
HEAD = 2**14

_NUMBER = r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?"
_FRACTIONS = re.compile(rf"\d+(\s+{_NUMBER}){{4}}")
_POLYGON = re.compile(rf"\d+(\s+{_NUMBER}){{6,}}")
_CONFIDENCE = re.compile(rf"\d+(\s+{_NUMBER}){{5}}")
_KITTI_ROW = re.compile(rf"[A-Za-z_]\w*(\s+{_NUMBER}){{14,15}}")
DOTA_ROW = re.compile(rf"({_NUMBER}\s+){{8}}\S*[A-Za-z]\S*(\s+\d+)?")
_MOT_ROW = re.compile(rf"\d+,-?\d+(,{_NUMBER}){{4,8}}")
_WIDER_ROW = re.compile(rf"({_NUMBER}\s+){{9,}}{_NUMBER}\s*")


def recognise(source: Source, path: str) -> Kind | None:
    """What the beginning of a file looks like; None for anything else. Nothing is read beyond it."""
    name = file_name(path).lower()
    suffix = name[name.rfind(".") :]
    if suffix in {".tfrecord", ".tfrecords", ".record"} or re.search(r"\.tfrecord-\d+-of-\d+$", name):
        return _TFRECORD
    try:
        head = decode_text(source.head(path, HEAD)).lstrip("\ufeff \t\r\n")
    except OSError:
        return None
    if suffix == ".txt":
        return _of_text(head, path)
    if suffix == ".xml":
        return _of_xml(head)
    if suffix in {".json", ".vott", ".jsonl", ".ndjson"}:
        return _of_json(head)
    return _of_table(head) if suffix in {".csv", ".tsv"} else None


def _of_text(head: str, path: str) -> Kind | None:
    rows = [line.strip() for line in head.splitlines() if line.strip()]
    if not rows:
        return None
    if rows[0].startswith(("imagesource:", "gsd:")):
        return DOTA
    first = rows[0]
    if _is_image(first):
        return _WIDER if len(rows) > 2 and rows[1].isdigit() and _WIDER_ROW.fullmatch(rows[2]) else IMAGE_LIST
    if _MOT_ROW.fullmatch(first) and file_name(path).lower() in {"gt.txt", "det.txt"}:
        return _MOT
    forms = (
        (_FRACTIONS, YOLO),
        (_CONFIDENCE, DETECTIONS),
        (_POLYGON, YOLO),
        (_KITTI_ROW, _KITTI),
        (DOTA_ROW, DOTA),
    )
    return next((kind for form, kind in forms if form.fullmatch(first)), None)


def _of_xml(head: str) -> Kind | None:
    root = re.search(
        r"<([A-Za-z][\w.-]*)[\s>]", re.sub(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>", "", head, flags=re.DOTALL)
    )
    if root and root[1] == "annotations":
        return _CVAT
    return _VOC if root and root[1] == "annotation" else None


def _of_json(head: str) -> Kind | None:
    keys = set(re.findall(r'"([^"\\]{1,60})"\s*:', head))
    marks = (
        ({"shapes", "imagePath"}, _LABELME),
        ({"images", "annotations"}, _COCO),
        ({"images", "categories"}, _COCO),
        ({"annotations", "data", "id"}, _LABEL_STUDIO),
        ({"rectanglelabels"}, _LABEL_STUDIO),
        ({"_via_settings"}, _VIA),
        ({"_via_img_metadata"}, _VIA),
        ({"regions", "shape_attributes"}, _VIA),
        ({"regions", "asset"}, _VOTT),
        ({"securityToken", "sourceConnection"}, _VOTT),
        ({"image", "annotations", "coordinates"}, _CREATEML),
        ({"imagefilename", "annotation"}, _CREATEML),
        ({"objects", "imgWidth"}, _PER_IMAGE),
    )
    return next((kind for wanted, kind in marks if wanted <= keys), None)


def _of_table(head: str) -> Kind | None:
    columns = {column.strip().strip('"').lower() for column in re.split(r"[,;\t]", head.partition("\n")[0])}
    if {"imageid", "labelname", "xmin"} <= columns:
        return _OPENIMAGES
    if {"region_shape_attributes", "filename"} <= columns:
        return _VIA
    boxed = {"xmin", "ymin", "xmax", "ymax"} <= columns or {"x1", "y1", "x2", "y2"} <= columns
    return _CSV if boxed or {"bbox", "image_id"} <= columns else None


def _is_image(written: str) -> bool:
    name = slashes(written).rpartition("/")[2].lower()
    return name[name.rfind(".") :] in IMAGE_SUFFIXES if "." in name else False


#: So many folders of files are looked into, the fullest first.
_LOOKED_INTO = 20

#: Extensions of the files that are looked into.
_SUFFIXES = frozenset(
    {
        ".txt",
        ".xml",
        ".json",
        ".jsonl",
        ".ndjson",
        ".csv",
        ".tsv",
        ".vott",
        ".tfrecord",
        ".tfrecords",
        ".record",
    }
)


def describe(source: Source, paths: Iterable[str]) -> list[str]:
    """A sentence for each format among the files that is not read: what it is, where, and what to do."""
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        suffix = source.entries[path].suffix
        if suffix in _SUFFIXES or ".tfrecord-" in file_name(path):
            by_place[folder(path), suffix].append(path)
    ranked = sorted(by_place.items(), key=lambda item: (-len(item[1]), item[0]))
    sentences: dict[Kind, str] = {}
    for (place, suffix), files in ranked[:_LOOKED_INTO]:
        kind = recognise(source, files[0]) or recognise(source, files[len(files) // 2])
        if kind is None or not kind.remedy or kind in sentences:
            continue
        shown = (
            files[0] if len(files) == 1 else f"{len(files):,} {suffix} files in {place or 'the top folder'}"
        )
        sentences[kind] = f"It looks like {kind.title} ({shown}), which is not read: {kind.remedy}."
    return list(sentences.values())
