"""What `fix` changes, one function a rule, over the frames of an audit's evidence; nothing is read or written here."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import dihedral, splits
from trainworthy_audit.auditing import NEEDS
from trainworthy_audit.errors import DatasetError
from trainworthy_audit.evidence import classes, findings, scenes
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.scene_groups import scene_groups
from trainworthy_audit.rules import catalogue
from trainworthy_audit.rules.i003_wrong_extension import PROMISED
from trainworthy_audit.source import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trainworthy_audit.config import Config
    from trainworthy_audit.duplicates import Thumbnails
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.types import Evidence

#: Rules whose images are set aside with their labels: without what cannot be read or named, the picture would
#: teach that there is nothing.
ASIDE = ("I001", "I002", "A001", "B003", "C001")

#: What is wrong about the ids of the whole dataset. A new dataset takes one reading of them for right, and its
#: audit would find nothing any more; so a person has to choose.
UNDECIDED = {
    "C002": "--ignore C002 takes the list that is named first for right",
    "C007": "--unsafe moves the ids by one, --ignore C007 takes them as they stand",
}

#: What writing anew settles or leaves out, whether wanted or not.
SETTLED = {
    "A002": "not in the new dataset, since there is no image",
    "A005": "the boxes of all annotations of an image were put together",
    "A006": "each new annotation names the image that it was read for",
    "A007": "not read, hence not in the new dataset",
    "C003": "the names were taken as they were read",
    "S004": "the new lists name the images that are there, each once",
}

#: What is mended.
MENDED = {*ASIDE, "B001", "B002", "B004", "B008", "C007", "D001", "D003", "I003", "I004"}

#: The extension to give a format, where it is not the format's name.
SUFFIXES = {"jpeg": ".jpg", "jpeg2000": ".jp2", "mpo": ".jpg", "heif": ".heic"}


class Mended:
    """Evidence on its way: `boxes` and `split` change, images that are `gone` keep their numbers.

    `aside` are the images of the quarantine, with the rule and the reason; `renamed` and `declared` hold new file
    names and the sizes that stay as they were declared, by image.
    """

    def __init__(
        self,
        evidence: Evidence,
        config: Config,
        changes: Changes,
        thumbnails: Callable[[Sequence[str]], Thumbnails],
        *,
        unsafe: bool = False,
    ) -> None:
        edges = [pl.col(edge).alias(f"from_{edge}") for edge in EDGES]
        self.evidence = dataclasses.replace(evidence, boxes=evidence.boxes.with_columns(edges))
        self.config = config
        self.changes = changes
        self.thumbnails = thumbnails
        self.unsafe = unsafe
        self.running = {rule.code for rule in config.rules()}
        self.number = dict(evidence.images.select("path", "image").iter_rows())
        self.aside: dict[int, tuple[str, str]] = {}
        self.gone: set[int] = set()
        self.renamed: dict[int, str] = {}
        self.declared: dict[int, tuple[int, int]] = {}
        self.scene = pl.DataFrame(schema={"image": pl.UInt32, "scene": pl.UInt32})
        self.homes: dict[int, str] = {}  # of each scene that is in several splits, the one where it belongs
        self.left: Counter[str] = Counter()  # findings that are left for a person, by rule

    # What the rules say

    def found(self, code: str, *, always: bool = False) -> pl.DataFrame:
        """The findings of a rule; none if it is not to run."""
        rule = catalogue()[code]
        met = all(NEEDS[need][0](self.evidence) for need in rule.needs)
        if not met or not (always or code in self.running):
            return findings.NONE
        return rule.check(self.evidence, self.config.options_of(rule))

    def on_images(self, code: str) -> Iterable[tuple[int, dict[str, Any]]]:
        """(image, finding) for each finding of a rule on an image that is still here."""
        for row in self.found(code).iter_rows(named=True):
            image = self.number.get(row["image"])
            if image is not None and image not in self.gone:
                yield image, row

    def path(self, image: int) -> str:
        """Where the image lies in its source."""
        return str(self.evidence.images["path"][image])

    # What may change

    def remove(self, images: Iterable[int]) -> None:
        """Take images out, and their boxes, and what could not be read of their annotations."""
        self.gone.update(images)
        stays = ~pl.col("image").is_in(list(self.gone)) | pl.col("image").is_null()
        self.boxes(self.evidence.boxes.filter(stays))
        dataset = dataclasses.replace(
            self.evidence.dataset, unread=self.evidence.dataset.unread.filter(stays)
        )
        self.evidence = dataclasses.replace(self.evidence, dataset=dataset)

    def boxes(self, frame: pl.DataFrame) -> None:
        """These boxes in place of those there were."""
        self.evidence = dataclasses.replace(self.evidence, boxes=frame)

    def tell(
        self, action: str, code: str, boxes: pl.DataFrame, after: Sequence[str | list[Any]] | None = None
    ) -> None:
        """Note what happened to each of these boxes, which have a `message`."""
        several = self.evidence.dataset.format == "coco"
        for number, row in enumerate(boxes.iter_rows(named=True)):
            self.changes.add(
                action,
                rule=code,
                path=row["path"] if several else row["annotation"],
                box=row["box"],
                before=[row["label"], *(row[edge] for edge in EDGES)],
                after=None if after is None else after[number],
                why=row["message"],
            )


def mend(work: Mended) -> None:
    """Run every repair that is wanted. Raises `DatasetError` where a person has to choose first."""
    _shift_ids(work)
    _decide(work)
    for code in ASIDE:
        _set_aside(work, code)
    _take_as_pixels(work)
    with_boxes = work.evidence.boxes["image"].drop_nulls().unique()
    _clip(work)
    _remove_boxes(work, "B002")
    _remove_boxes(work, "B004")
    _tell_of_emptied(work, with_boxes)
    _rename(work)
    _correct_sizes(work)
    _find_homes(work)
    _keep_one_copy(work)
    _bring_home(work)
    _say_what_is_left(work)


# ------------------------------------------------------------------------------------------------------------
# Classes


def _shift_ids(work: Mended) -> None:
    """C007, where it is asked for: every id moved back by one, with the label that it has then."""
    if not work.unsafe or not work.found("C007").height:
        return
    dataset, boxes = work.evidence.dataset, work.evidence.boxes
    by = classes.shifts(work.evidence, classes.usage(work.evidence))
    names = pl.DataFrame(
        [
            (group, number, number - moved, classes.list_of(dataset, group).by_id()[number - moved])
            for group, moved in by.items()
            for number in [known + moved for known in classes.list_of(dataset, group).by_id()]
        ],
        schema={"group": pl.String, "class_id": pl.Int64, "new_id": pl.Int64, "new_label": pl.String},
        orient="row",
    )
    moved = boxes.with_columns(classes.group(dataset)).join(
        names, on=["group", "class_id"], how="left", maintain_order="left"
    )
    said = moved.filter(pl.col("new_id").is_not_null()).with_columns(
        pl.format("id {} means {}", "class_id", "new_label").alias("message")
    )
    work.tell("relabelled", "C007", said, said["new_label"].to_list())
    work.boxes(
        moved.with_columns(
            pl.coalesce("new_id", "class_id").alias("class_id"),
            pl.coalesce("new_label", "label").alias("label"),
        ).select(boxes.columns)
    )


def _decide(work: Mended) -> None:
    """Refuse to settle in passing what makes every label doubtful."""
    for code, choices in UNDECIDED.items():
        if code == "C007" and work.unsafe:
            continue
        for row in work.found(code).head(1).iter_rows(named=True):
            raise DatasetError(
                f"{code} must be decided first: {row['annotation'] or 'the names'}: {row['message']}\n"
                f"  A new dataset would take one reading for right. Nothing was written.\n  Choose: {choices}.",
                next_step=f"trainworthy rule {code}",
            )


# ------------------------------------------------------------------------------------------------------------
# Whole images


def _set_aside(work: Mended, code: str) -> None:
    if code not in work.running:
        return
    blamed = _unread(work) if code == "A001" else _nameless(work) if code == "C001" else _blamed(work, code)
    chosen = {image: why for image, why in reversed(blamed) if image not in work.gone}
    work.aside |= {image: (code, chosen[image]) for image in sorted(chosen)}
    work.remove(chosen)


def _blamed(work: Mended, code: str) -> list[tuple[int, str]]:
    return [(image, row["message"]) for image, row in work.on_images(code)]


def _unread(work: Mended) -> list[tuple[int, str]]:
    """A001: the images of which an annotation has rows that could not be read."""
    rows = work.evidence.dataset.unread.drop_nulls("image")
    line = pl.coalesce(pl.format(" line {}", "line"), pl.lit(""))
    said = pl.format("{}{} cannot be read: {}", "annotation", line, "reason")
    return list(rows.select("image", said.alias("said")).iter_rows())


def _nameless(work: Mended) -> list[tuple[int, str]]:
    """C001: the images that have a box whose id no list names."""
    if not work.found("C001").height:
        return []
    rows = work.evidence.boxes.filter(pl.col("label").is_null(), pl.col("class_id").is_not_null())
    rows = rows.drop_nulls("image")
    return list(rows.select("image", pl.format("class id {} has no name", "class_id")).iter_rows())


def _rename(work: Mended) -> None:
    """I003: the extension that the content has."""
    for image, row in work.on_images("I003"):
        suffix = SUFFIXES.get(row["measured_text"], f".{row['measured_text']}")
        if suffix not in IMAGE_SUFFIXES or PROMISED.get(suffix, suffix) == row["limit_text"]:
            work.left["I003"] += 1
            continue
        name = work.path(image).rpartition("/")[2]
        work.renamed[image] = new = name[: name.rfind(".")] + suffix
        work.changes.add(
            "extension corrected",
            rule="I003",
            path=work.path(image),
            before=name,
            after=new,
            why=row["message"],
        )


def _correct_sizes(work: Mended) -> None:
    """I004: the size of the pixels, unless the boxes were probably drawn on a picture of the declared size."""
    doubtful = _drawn_elsewhere(work)
    for row in work.found("I004", always=True).iter_rows(named=True):
        image = work.number[row["image"]]
        if image in work.gone:
            continue
        if "I004" in work.running and image not in doubtful:
            work.changes.add(
                "size corrected",
                rule="I004",
                path=row["annotation"] or row["image"],
                before=row["limit_text"],
                after=row["measured_text"],
                why=row["message"],
            )
            continue
        work.left["I004"] += "I004" in work.running
        width, height = work.evidence.images.select("declared_width", "declared_height").row(image)
        if all(side is not None and 1 <= side < 2**31 for side in (width, height)):
            work.declared[image] = (round(width), round(height))


def _drawn_elsewhere(work: Mended) -> set[int]:
    """Images whose boxes speak for the declared size: it was turned, or scaled, or boxes fit only there."""
    width, height = pl.col("width").cast(pl.Float64), pl.col("height").cast(pl.Float64)
    declared_width, declared_height = pl.col("declared_width"), pl.col("declared_height")
    reach = work.evidence.boxes.group_by("image").agg(pl.col("x2").max(), pl.col("y2").max())
    images = work.evidence.images.filter(declared_width >= 1, declared_height >= 1).join(reach, on="image")
    sideways = pl.col("orientation").is_in(dihedral.EXIF_TRANSPOSES)
    turned = (width == declared_height) & (height == declared_width) & sideways
    scaled = (declared_width / declared_height / (width / height) - 1).abs() < 0.01
    beyond = (pl.col("x2") > width + 1) | (pl.col("y2") > height + 1)
    within = (pl.col("x2") <= declared_width + 1) & (pl.col("y2") <= declared_height + 1)
    return set(images.filter((turned | scaled | beyond) & within)["image"])


# ------------------------------------------------------------------------------------------------------------
# Boxes


def _take_as_pixels(work: Mended) -> None:
    """B008: what is written as pixels is known in pixels, and written as fractions of them."""
    boxes = work.evidence.boxes
    found = boxes.filter("unit_error", "finite", pl.col("image").is_not_null())
    message = pl.lit("the row holds pixels, not fractions").alias("message")
    work.tell("taken as pixels", "B008", found.with_columns(message))
    work.boxes(boxes.with_columns(pl.lit(value=False).alias("unit_error")))


def _clip(work: Mended) -> None:
    """B001: edges brought to the image's border; what lies wholly outside is removed."""
    found = work.found("B001").select("row", "message")
    boxes = work.evidence.boxes.join(found, on="row", how="left", maintain_order="left")
    sides = {"x": pl.col("image_width"), "y": pl.col("image_height")}
    inside = [
        pl.when(pl.col("message").is_not_null())
        .then(pl.col(edge).clip(0, sides[edge[0]]))
        .otherwise(edge)
        .alias(edge)
        for edge in EDGES
    ]
    clipped = boxes.with_columns(inside)
    blamed = pl.col("message").is_not_null()
    empty = (pl.col("x2") <= pl.col("x1")) | (pl.col("y2") <= pl.col("y1"))
    had_extent = (pl.col("from_x2") > pl.col("from_x1")) & (pl.col("from_y2") > pl.col("from_y1"))
    outside = clipped.filter(blamed, empty, had_extent)["row"]
    rest = clipped.filter(blamed, ~pl.col("row").is_in(outside.implode()))
    before = boxes.filter(pl.col("row").is_in(rest["row"].implode()))
    work.tell("clipped", "B001", before, [list(row) for row in rest.select("label", *EDGES).rows()])
    work.tell("removed, wholly outside", "B001", boxes.filter(pl.col("row").is_in(outside.implode())))
    work.boxes(clipped.filter(~pl.col("row").is_in(outside.implode())).drop("message"))


def _remove_boxes(work: Mended, code: str) -> None:
    """B002 and B004: boxes without extent, and boxes that repeat another."""
    found = work.found(code).select("row", "message")
    boxes = work.evidence.boxes
    work.tell("removed", code, boxes.join(found, on="row", maintain_order="left"))
    work.boxes(boxes.join(found, on="row", how="anti", maintain_order="left"))


def _tell_of_emptied(work: Mended, with_boxes: pl.Series) -> None:
    """Name the images that lost their last box: they say from now on that nothing is to be seen."""
    emptied = sorted(set(with_boxes) - set(work.evidence.boxes["image"]))
    if emptied:
        work.changes.notes.append(
            f"Without any box now, hence taken for showing no object: {len(emptied):,} images, such as "
            f"{work.path(emptied[0])}: look at them"
        )


# ------------------------------------------------------------------------------------------------------------
# Copies and splits


def _find_homes(work: Mended) -> None:
    """Where each scene that is in several splits belongs: where most of it is, in training on a tie."""
    evidence = work.evidence
    if len(evidence.dataset.splits) < 2:
        return
    search = work.config.options_of(catalogue()["D002"])
    work.scene = scene_groups(evidence, work.thumbnails, search)
    counts = (
        evidence.dataset.membership.unique()
        .filter(~pl.col("image").is_in(list(work.gone)))
        .join(work.scene, on="image")
        .group_by("scene", "split")
        .len()
        .filter(pl.len().over("scene") > 1)
    )
    order = sorted(evidence.dataset.splits, key=lambda name: splits.ROLES.index(splits.role(name)))
    best: dict[int, tuple[int, int]] = {}
    for scene, split, count in counts.iter_rows():
        rank = (-count, order.index(split))
        best[scene] = min(best.get(scene, rank), rank)
    work.homes = {scene: order[place] for scene, (_, place) in best.items()}


def _keep_one_copy(work: Mended) -> None:
    """D001: of images with the same pixels one stays, unless their labels disagree (D004)."""
    if "D001" not in work.running:
        return
    evidence = work.evidence
    pairs = evidence.duplicates.filter(pl.col("relation").is_in(scenes.IDENTICAL))
    members = (
        scenes.scene_of(evidence, pairs)
        .join(evidence.images.select("image", "path", "annotation", "split"), on="image")
        .filter(~pl.col("image").is_in(list(work.gone)))
        .filter(pl.len().over("scene") > 1)
        .sort("scene", "image")
    )
    disagree = set(work.found("D004", always=True)["image"])
    dropped: list[int] = []
    for group in members.partition_by("scene", maintain_order=True):
        copies = group.to_dicts()
        labelled = [copy for copy in copies if copy["annotation"] is not None]
        if any(copy["path"] in disagree for copy in labelled):
            work.left["D001"] += 1
            continue
        kept = min(labelled or copies, key=lambda copy: (copy["split"] != _home(work, copy), copy["image"]))
        for copy in copies:
            if copy is not kept:
                _tell_of_copy(work, copy, kept)
                dropped.append(copy["image"])
    work.remove(dropped)


def _home(work: Mended, copy: dict[str, Any]) -> str | None:
    """The split where a copy belongs."""
    stays: str | None = copy["split"]
    return work.homes.get(work.scene["scene"][copy["image"]], stays) if work.homes else stays


def _tell_of_copy(work: Mended, copy: dict[str, Any], kept: dict[str, Any]) -> None:
    labelled = " and labelled" if copy["annotation"] is None and kept["annotation"] is not None else ""
    why = f"the same pixels as {kept['path']}, which is kept{labelled}"
    work.changes.add("copy removed", rule="D001", path=copy["path"], why=why)


def _bring_home(work: Mended) -> None:
    """D003: all images of a scene move to one split."""
    if "D003" not in work.running or not work.homes:
        return
    home = pl.DataFrame(
        {"scene": list(work.homes), "home": list(work.homes.values())}, schema_overrides={"scene": pl.UInt32}
    )
    listed = work.evidence.dataset.membership.group_by("image", maintain_order=True).agg("split")
    moved = (
        work.evidence.images.select("image", "path")
        .join(listed, on="image")
        .join(work.scene, on="image")
        .join(home, on="scene")
        .filter(~pl.col("image").is_in(list(work.gone)))
        .filter(pl.col("split") != pl.concat_list("home"))
        .sort("image")
    )
    shown = _shown(work)
    for row in moved.iter_rows(named=True):
        there = shown[row["scene"]]
        work.changes.add(
            "moved",
            rule="D003",
            path=row["path"],
            before=", ".join(row["split"]),
            after=row["home"],
            why="it was in several splits" if there == row["path"] else f"the same scene as {there}",
        )
    before = work.evidence.images
    home = moved.select("image", "home")
    images = before.join(home, on="image", how="left", maintain_order="left")
    images = images.with_columns(pl.coalesce("home", "split").alias("split")).drop("home")
    once = work.evidence.dataset.membership.filter(~pl.col("image").is_in(moved["image"].implode()))
    dataset = dataclasses.replace(
        work.evidence.dataset,
        membership=pl.concat([once, moved.select("image", pl.col("home").alias("split"))]),
    )
    work.evidence = dataclasses.replace(work.evidence, images=images, dataset=dataset)
    _tell_sizes(work, before)


def _shown(work: Mended) -> dict[int, str]:
    """For each scene its first image that is at home already."""
    members = (
        work.evidence.dataset.membership.join(work.scene, on="image")
        .filter(~pl.col("image").is_in(list(work.gone)))
        .sort("image", descending=True)
    )
    return {
        scene: work.path(image)
        for image, split, scene in members.select("image", "split", "scene").iter_rows()
        if work.homes.get(scene) == split
    }


def _tell_sizes(work: Mended, before: pl.DataFrame) -> None:
    """How many images each split has won or lost."""
    stays = ~pl.col("image").is_in(list(work.gone))
    had, has = (
        dict(frame.filter(stays)["split"].value_counts().iter_rows())
        for frame in (before, work.evidence.images)
    )
    told = ", ".join(
        f"{name} {had.get(name, 0):,} -> {has.get(name, 0):,}" for name in work.evidence.dataset.splits
    )
    work.changes.notes.append(
        f"D003 images by split: {told}. Where a split has become too small, divide the new dataset anew: "
        "trainworthy split --again"
    )


# ------------------------------------------------------------------------------------------------------------
# The rest


def _say_what_is_left(work: Mended) -> None:
    """Name the findings that are left for a person, and what writing anew settles."""
    for rule in work.config.rules():
        code = rule.code
        count, example = work.left[code], ""
        if code not in MENDED and (code == "A003" or work.config.severity_of(rule) == "error"):
            rows = [
                row
                for row in work.found(code).iter_rows(named=True)
                if work.number.get(row["image"]) not in work.gone
            ]
            count = len(rows)
            example = next(
                (f", such as {row['image'] or row['annotation']}: {row['message']}" for row in rows), ""
            )
        if count:
            what = SETTLED.get(code, "left for a person")
            work.changes.notes.append(f"{code} {rule.name}, {count:,} found: {what}{example}")
