"""Names that older versions wrote into `run.json`, and the present ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Augmentations that had another name until version 0.1; `least_scale` was 1 - `scale`.
RENAMED_AUGMENTATIONS = {
    "mirror": "hflip",
    "upside_down": "vflip",
    "crop": "scale_p",
    "least_scale": "scale",
    "turn": "degrees_p",
}


def upgrade(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run with its settings by their present names."""
    settings = record.get("settings")
    if not isinstance(settings, dict) or not isinstance(settings.get("augmentation"), dict):
        return dict(record)
    augmentation = dict(upgrade_augmentation(*item) for item in settings["augmentation"].items())
    return {**record, "settings": {**settings, "augmentation": augmentation}}


def upgrade_augmentation(name: str, value: float) -> tuple[str, float]:
    """An augmentation by its present name; decimals of an old `least_scale` come through exactly."""
    if name == "least_scale":
        value = round(1 - value, 12)
    return RENAMED_AUGMENTATIONS.get(name, name), value
