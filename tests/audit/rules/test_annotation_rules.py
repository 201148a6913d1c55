"""The rules of annotation files at their edges."""

from __future__ import annotations

from typing import Any

from support.by_hand import box, evidence, found


def reference(kind: str = "annotation", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "source": "a.json", "written": "0.jpg", "image": 0, **more}


def test_unread_rows_are_kept_verbatim() -> None:
    """A001 carries the row as it stood in the file, also where no image is known."""
    rows = [
        {"annotation": "0.txt", "line": 3, "image": 0, "text": "<b>0 x</b>\t", "reason": "not numbers"},
        {"annotation": "odd.json", "text": "{", "reason": "not JSON"},
    ]
    first, second = found("A001", evidence(unread=rows))
    assert (first["image"], first["line"], first["text"], first["message"]) == (
        "0.jpg",
        3,
        "<b>0 x</b>\t",
        "not numbers",
    )
    assert (second["image"], second["annotation"]) == (None, "odd.json")


def test_orphans_of_every_kind() -> None:
    """A002 says what is missing: the file's own image, the entry's image, or the entry of an image_id."""
    rows = [
        reference(image=None, source="labels/x.txt", written="labels/x.txt"),
        reference(image=None, written="lost.jpg"),
        reference(image=None, written="image_id 99"),
        reference(image=None, written="../out.jpg", outside=True),
        reference(),
    ]
    messages = [row["message"] for row in found("A002", evidence(references=rows))]
    assert messages == [
        "no image of this name is in the dataset",
        "no such image in the dataset: lost.jpg",
        "boxes belong to image_id 99, which no entry of `images` declares",
    ]


def test_unannotated_is_not_negative() -> None:
    """A003 takes images without annotation, A004 those with an empty one, and neither takes both."""
    given = evidence([box(1, 1, 50, 50, image=0)], images=3, bare=[2])
    assert [row["image"] for row in found("A003", given)] == ["2.jpg"]
    assert [row["image"] for row in found("A004", given)] == ["1.jpg"]


def test_annotation_with_unread_rows_is_not_empty() -> None:
    """A004 leaves an image alone whose only row could not be read."""
    given = evidence(unread=[{"annotation": "0.txt", "image": 0, "text": "x", "reason": "not numbers"}])
    assert found("A004", given) == []


def test_no_negatives_at_all() -> None:
    """A004 is quiet where every image has a box."""
    assert found("A004", evidence([box(1, 1, 50, 50)])) == []


def test_image_annotated_by_two_files() -> None:
    """A005 names all files that annotate an image."""
    rows = [
        reference(source="a/0.xml"),
        reference(source="b/0.xml"),
        reference(kind="list", source="train.txt"),
    ]
    (row,) = found("A005", evidence(references=rows))
    assert row["image"] == "0.jpg"
    assert row["annotation"] == "b/0.xml"
    assert row["related"] == ["a/0.xml", "b/0.xml"]
    assert row["message"] == "image is annotated 2 times, by a/0.xml, b/0.xml"
    assert row["measured"] == 2


def test_image_entered_twice_in_one_file() -> None:
    """A005 tells two COCO entries of one image once, although they share the id too."""
    rows = [reference(id=7), reference(id=7)]
    (row,) = found("A005", evidence(references=rows))
    assert row["message"] == "image is annotated 2 times, in a.json"


def test_image_id_of_two_images() -> None:
    """A005 finds an image id that two entries share; the same id in another file is no repeat."""
    rows = [
        reference(id=7),
        reference(id=7, image=1, written="1.jpg"),
        reference(id=7, image=2, source="b.json"),
    ]
    (row,) = found("A005", evidence(images=3, references=rows))
    assert row["message"] == "image id 7 stands for 2 entries: 0.jpg, 1.jpg"
    assert row["related"] == ["0.jpg", "1.jpg"]


def test_annotation_id_repeated() -> None:
    """A005 reports each box after the first with its id, within one file only."""
    boxes = [
        box(1, 1, 9, 9, id=1, annotation="a.json"),
        box(1, 1, 9, 9, id=1, annotation="a.json", image=1),
        box(1, 1, 9, 9, id=1, annotation="b.json", image=1),
        box(1, 1, 9, 9, image=1),
        box(1, 1, 9, 9, image=1),
        box(1, 1, 9, 9, id=1, annotation="a.json", image=None),
    ]
    first, second = found("A005", evidence(boxes, images=2))
    assert (first["image"], first["box"], first["related"]) == ("1.jpg", 0, ["0.jpg"])
    assert (second["image"], second["message"]) == (None, "annotation id 1 is already that of box 0 of 0.jpg")


def test_named_image_that_exists() -> None:
    """A006 says whether the image named instead is another one of the dataset."""
    rows = [
        reference("name", source="0.xml", written="C:\\data\\1.JPG"),
        reference("name", source="0.xml", written="gone.jpg"),
        reference("name", source="0.xml", written="lost.jpg", image=None),
    ]
    first, second = found("A006", evidence(images=2, references=rows))
    assert first["related"] == ["1.jpg"]
    assert "another image of the dataset" in first["message"]
    assert second["message"] == "names gone.jpg, which is not in the dataset"


def test_escaping_zip_member_is_no_annotation() -> None:
    """A007 names a member that would escape in the text, not as a file of the dataset."""
    rows = [
        reference("member", source="../../etc/passwd", written="../../etc/passwd", image=None, outside=True),
        reference("list", source="train.txt", line=2, written="../x.jpg", image=None, outside=True),
    ]
    member, listed = found("A007", evidence(references=rows))
    assert (member["annotation"], member["text"]) == (None, "../../etc/passwd")
    assert (listed["annotation"], listed["line"], listed["text"]) == ("train.txt", 2, "../x.jpg")
