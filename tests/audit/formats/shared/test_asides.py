from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.helpers import put
from trainworthy_audit.formats.shared.asides import set_aside
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = {f"images/val/{name}.jpg": b"x" for name in "abcd"}
LABELS = {f"labels/val/{name}.txt": "0 0.5 0.5 0.2 0.2\n" for name in "abcd"}
SURE = "0 0.5 0.5 0.2 0.2 0.81\n"


def kept(folder: Path, files: dict[str, str | bytes], *chosen: str) -> set[str]:
    """What is left of these files beside the dataset."""
    source, _ = set_aside(open_source(put(folder, {**IMAGES, **LABELS, **files})), *chosen)
    return source.entries.keys() - IMAGES.keys() - LABELS.keys()


@pytest.mark.parametrize("place", ["runs/detect/exp3", "predict2", "predictions", "our_best_model"])
def test_output_of_a_model_is_set_aside(place: str, tmp_path: Path) -> None:
    """By the folder's name or by confidences in each row, where it repeats the dataset's images."""
    files = {f"{place}/{name}.jpg": b"x" for name in "ab"} | {
        f"{place}/labels/{name}.txt": SURE for name in "ab"
    }
    source, notes = set_aside(open_source(put(tmp_path, {**IMAGES, **LABELS, **files})))
    assert source.entries.keys() == IMAGES.keys() | LABELS.keys()
    assert len(notes) == 1
    assert "4 files" in notes[0]


def test_labels_of_a_model_are_set_aside_only_beside_others(tmp_path: Path) -> None:
    """Confidences in the only labels are a fault of the dataset (A001), not another model's output."""
    sure = dict.fromkeys(LABELS, SURE)
    assert kept(tmp_path / "beside", {f"detected/{name}.txt": SURE for name in "abcd"}) == set()
    only = open_source(put(tmp_path / "only", {**IMAGES, **sure}))
    assert set_aside(only) == (only, [])


def test_dataset_in_a_folder_called_like_output_is_kept(tmp_path: Path) -> None:
    """Other pictures than those elsewhere, or a folder that the user chose."""
    other = {"predict/x.jpg": b"x", "predict/y.jpg": b"x"}
    assert kept(tmp_path / "other", dict(other)) == other.keys()
    same = {"predict/a.jpg": b"x", "predict/labels/a.txt": SURE}
    assert kept(tmp_path / "chosen", dict(same), "predict/labels") == same.keys()
