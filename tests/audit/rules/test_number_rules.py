"""Rules for numbers, beyond their own examples."""

from __future__ import annotations

from support import by_hand
from support.frames import box, evidence, found


def test_images_are_counted_not_boxes() -> None:
    """A hundred boxes in one image are one image of the label; the rarest label comes first."""
    images = [{"path": "a.jpg"}, {"path": "b.jpg"}]
    boxes = [box(0, n, 1, n + 9, 9, label="many") for n in range(100)] + [
        box(0, 1, 1, 9, 9),
        box(1, 1, 1, 9, 9),
    ]
    results = found("N001", evidence(images, boxes))
    assert [(row["label"], row["measured"]) for row in results] == [("many", 1), ("cat", 2)]
    assert results[0]["message"] == '"many" occurs in 1 image; at least 300 are asked for'
    assert [row["label"] for row in found("N001", evidence(images, boxes), images_per_label=2)] == ["many"]


def test_boxes_without_a_label_are_no_label() -> None:
    """Ids that no list names are left to C001."""
    given = evidence([{"path": "a.jpg"}], [box(0, 1, 1, 9, 9, label=None, class_id=7)])
    assert found("N001", given) == found("N002", given) == []


def test_boxes_of_missing_images_count_as_no_image() -> None:
    """A label all of whose images are missing occurs in none; it is rare, not uneven."""
    boxes = [by_hand.box(1, 1, 9, 9), *(by_hand.box(1, 1, 9, 9, "dog", image=None) for _ in range(20))]
    given = by_hand.evidence(boxes)
    assert [(row["label"], row["measured"]) for row in found("N001", given)] == [("dog", 0), ("cat", 1)]
    assert found("N002", given) == []


def test_imbalance_names_both_labels_by_the_worse_ratio() -> None:
    """Images and boxes are compared each; the larger ratio is told. One label alone is never uneven."""
    images = [{"path": f"{n}.jpg"} for n in range(24)]
    boxes = [box(n, 1, 1, 9, 9) for n in range(24)] + [box(0, 1, 1, 9, 9, label="dog") for _ in range(12)]
    (row,) = found("N002", evidence(images, boxes))
    assert row["message"] == 'uneven labels: "cat" has 24 images, "dog" has 1'
    assert (row["label"], row["measured"]) == ("dog", 24)
    assert found("N002", evidence(images, boxes), ratio=24) == []
    assert found("N002", evidence(images, boxes[:24])) == []


def test_what_counts_as_a_negative() -> None:
    """An annotation without boxes is a negative; no annotation, and an annotation that could not be read, are none."""
    images = [{"path": "a.jpg"}, {"path": "b.jpg"}, {"path": "c.jpg", "annotation": None}]
    boxes = [box(0, 1, 1, 9, 9)]
    assert found("N003", evidence(images, boxes)) == []
    unread = [{"annotation": "1.txt", "line": 1, "image": 1, "text": "x", "reason": "not a number"}]
    (row,) = found("N003", evidence(images, boxes, unread=unread))
    assert "(1 other has no annotation at all: see A003)" in row["message"]


def test_size_of_the_dataset() -> None:
    """The sizes of all files are added up, also of undecodable ones; a gigabyte is a thousand million bytes."""
    images = [{"path": f"{n}.jpg", "size_bytes": 600_000_000} for n in range(4)]
    images[0]["status"] = "unreadable"
    (row,) = found("N004", evidence(images))
    assert row["message"] == "the images take 2.4 GB; at most 2 GB are advised"
    assert found("N004", evidence(images[:3])) == []
