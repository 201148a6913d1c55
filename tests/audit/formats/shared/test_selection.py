from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainworthy_audit.formats.shared.selection import Namesakes, competing_sets, images_of_annotations
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.source import Source


def test_rivals_share_most_of_their_images() -> None:
    """More than half of the larger set, and three images at least; all versions are named."""
    many = {str(n) for n in range(10)}
    assert competing_sets({"v1": many, "v2": many, "v3": many | {"x"}, "other": {"y"}}) == (
        ["v1", "v2", "v3"],
        10,
    )
    assert competing_sets({"all": many, "some": {"1", "2", "3", "4", "5"}}) == ([], 0)
    assert competing_sets({"a": {"1", "2"}, "b": {"1", "2"}}) == ([], 0)
    assert competing_sets({}) == ([], 0)


def listed(folder: Path, *images: str, **texts: str) -> Source:
    """A source with these images, and text files by their names with _ for the dot."""
    for path in images:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return open_source(folder)


def test_images_are_narrowed_to_folders_of_annotations_that_were_chosen(tmp_path: Path) -> None:
    """Without a choice other pictures count, too; with one, only those in folders that it annotates."""
    images = ["a/1.jpg", "a/2.jpg", "b/3.jpg"]
    source = listed(tmp_path, *images)
    assert images_of_annotations(source, images, {"a/1.jpg"}, "") == (images, [])
    kept, notes = images_of_annotations(source, images, {"a/1.jpg"}, "labels")
    assert kept == ["a/1.jpg", "a/2.jpg"]
    assert "1 images" in notes[0]
    assert images_of_annotations(source, images, set(), "labels") == (images, [])


@pytest.mark.parametrize(
    "aside", ["drawn/1.png", "masks/9.png", "doc/9.jpg", "banner.jpg", "photos/readme-picture.jpg"]
)
def test_pictures_beside_the_dataset_do_not_belong(aside: str, tmp_path: Path) -> None:
    """Namesakes, masks, documentation, a picture above the images, and one that only the README shows."""
    images = ["photos/1.jpg", "photos/2.jpg", aside]
    source = listed(tmp_path, *images, README_md="![so](photos/readme-picture.jpg)")
    kept, notes = images_of_annotations(source, images, {"photos/1.jpg", "photos/2.jpg"}, "")
    assert kept == ["photos/1.jpg", "photos/2.jpg"]
    assert any("eft out" in note for note in notes)


def test_folder_without_annotations_of_its_own_pictures_belongs(tmp_path: Path) -> None:
    """Annotations that are missing for a folder are the user's to know: A003 reports its images."""
    images = ["cats/1.jpg", "cats/2.jpg", "dogs/3.jpg"]
    assert images_of_annotations(listed(tmp_path, *images), images, {"cats/1.jpg"}, "") == (images, [])


def test_namesakes_are_told_apart() -> None:
    """JPEGImages, then any folder of images, before drawings; then the folder that fits most; else none."""
    same = ["JPEGImages/a.jpg", "images/a.jpg", "viz/a.jpg"]
    assert Namesakes([same]).choose(same) == ["JPEGImages/a.jpg"]
    assert Namesakes([same]).choose(same[1:]) == ["images/a.jpg"]
    tied = [["x/a.jpg", "y/a.jpg"], ["x/b.jpg"]]
    assert Namesakes(tied).choose(tied[0]) == ["x/a.jpg"]
    assert Namesakes(tied[:1]).choose(tied[0]) == tied[0]
