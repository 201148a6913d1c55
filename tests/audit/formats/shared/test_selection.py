from __future__ import annotations

from trainworthy_audit.formats.shared.selection import competing_sets, images_of_annotations


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


def test_images_are_narrowed_only_where_annotations_were_chosen() -> None:
    """Without a choice all images count; with one, those in folders that it annotates."""
    images = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert images_of_annotations(images, {"a/1.jpg"}, "") == (images, [])
    kept, notes = images_of_annotations(images, {"a/1.jpg"}, "labels")
    assert kept == ["a/1.jpg", "a/2.jpg"]
    assert "1 images" in notes[0]
    assert images_of_annotations(images, set(), "labels") == (images, [])
