"""Which series a trainer's own name for a quantity means."""

from __future__ import annotations

import functools
import re

_VALIDATION = re.compile(r"^(val|valid|validation|eval|evaluation|test)(?=[/_.\- ]|$)[/_.\- ]*")
_TRAINING = re.compile(r"^(train|training)(?=[/_.\- ]|$)[/_.\- ]*")
_TAIL = re.compile(r"\((b|bbox)\)$|[_/](epoch|avg|average)$")

# Without "val" and separators: "ap50", "map_0.5", "map@.50iou", "bbox_map_50", "cocoap50", "map@0.5".
_MAP50 = re.compile(r"(bbox|coco)*m?ap(@?0?\.?50?|at50)(iou)?")
_MAP = re.compile(r"(bbox|coco)*m?ap(@?\[?(iou=)?0?\.?50?[:\-]?(to)?0?\.?95\]?(iou)?)?")
_LR = re.compile(r"(lr|learning_?rate)([/\-_].*|\d+)?|x/lr\d+|.*[/_\-]lr|base_lr")


#: RT-DETR logs COCO's twelve figures by their number.
_NUMBERED = {"test/coco_eval_bbox_0": "map", "test/coco_eval_bbox_1": "map50", "lr/pg_0": "lr"}


@functools.cache
def series_name(name: str) -> str:
    """The name in `types.SERIES` for a column, key or tag, or "" if it is not read."""
    name = re.sub(r"\s*/\s*", "/", name.strip().lower())  # ClearML puts spaces around the slash
    name = re.sub(
        r"^(metrics/(?:map50(?:-95)?|precision|recall))b$", r"\1", name
    )  # MLflow allows no parentheses
    if name in _NUMBERED:
        return _NUMBERED[name]
    if name.startswith(
        "ema_"
    ):  # of the averaged weights, logged beside the metrics of the weights themselves
        return ""
    if _LR.fullmatch(name):
        # The second of several parameter groups stands for all: the first may be the biases, whose rate falls in the
        # warm-up. Where both are logged, the later one wins.
        return "" if re.search(r"[2-9]$", name) else "lr"
    validation, training = bool(_VALIDATION.match(name)), bool(_TRAINING.match(name))
    name = _TRAINING.sub("", _VALIDATION.sub("", name))
    name = _TAIL.sub("", _TAIL.sub("", name))
    loss = _loss(name)
    if loss:
        return f"val_{loss}" if validation else loss
    metric = _metric(name)
    if training:  # a metric on training images says nothing about validation
        return "map50_train" if metric == "map50" else ""
    return metric


def _loss(name: str) -> str:
    if "unscaled" in name or "loss" not in name.replace("loses", "loss"):
        return ""
    part = re.sub(r"^(loss|losses|total)[/_.\- ]+|[/_.\- ]*loss(es)?(?=$)", "", name)
    part = re.sub(r"^(loss|losses|total)[/_.\- ]*", "", part).strip("/_.- ")
    if part in {"", "total", "sum", "all"}:
        return "loss"
    return f"loss/{part}" if re.fullmatch(r"[\w.\-]{1,40}", part) else ""


def _metric(name: str) -> str:
    short = re.sub(r"^(metrics|metric|bbox|box|coco|detectionboxes_precision)[/_.\- ]+", "", name)
    for word in ("precision", "recall"):
        if short in {word, f"m{word}", f"{word}_mean", f"mean_{word}"}:
            return word
    if short in {"iou", "mean_iou", "miou", "avg_iou"}:
        return "iou"
    tight = re.sub(r"[_/\- ]", "", short)
    if _MAP50.fullmatch(tight) and not _MAP.fullmatch(tight):
        return "map50"
    return "map" if _MAP.fullmatch(tight) else ""
