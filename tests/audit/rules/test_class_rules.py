"""The rules of classes at their edges."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from support.by_hand import box, evidence, found, names
from trainworthy_audit.evidence import classes
from trainworthy_audit.rules.c005_similar_names import similar
from trainworthy_audit.types import NameList

#: The 80 labels of COCO, separated by commas.
COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball
bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife,
spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair,
couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone,
microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush
"""


def ids(*numbers: int, listed: NameList, **more: Any) -> list[dict[str, Any]]:
    """A box for each class id, with the label that the list gives it."""
    table = listed.by_id()
    return [box(10, 10, 90, 90, table.get(number), class_id=number, **more) for number in numbers]


def test_unknown_id_says_what_is_declared() -> None:
    """C001 names the id, and the list with the ids that it has, negative ids included."""
    listed = names("a", "b", "c", "d", "e")
    rows = found("C001", evidence(ids(0, 7, -2, listed=listed), names=[listed]))
    assert [(row["box"], row["measured"], row["limit_text"]) for row in rows] == [
        (1, 7, "0..4"),
        (2, -2, "0..4"),
    ]
    assert rows[0]["message"] == "class id 7 has no name: data.yaml declares 0..4"
    assert rows[0]["related"] == ["data.yaml"]


def test_each_coco_file_has_its_own_list() -> None:
    """C001 judges a box by the categories of its own file."""
    train, val = names("a", "b", source="train.json"), names("a", "b", "c", source="val.json")
    boxes = [*ids(0, 2, listed=train, annotation="train.json"), *ids(1, 9, listed=val, annotation="val.json")]
    rows = found("C001", evidence(boxes, names=[train, val], kind="coco"))
    assert [row["message"] for row in rows] == [
        "class id 2 has no name: train.json declares 0, 1",
        "class id 9 has no name: val.json declares 0..2",
    ]


def test_shifted_ids_are_one_finding() -> None:
    """C007 tells a shift once; C001 and C004, which it explains, are quiet."""
    listed = names("a", "b", "c")
    given = evidence(ids(1, 2, 2, 3, listed=listed), names=[listed])
    (row,) = found("C007", given)
    assert row["measured"] == 1
    assert row["message"] == (
        "ids look shifted by +1: all 4 boxes have ids 1..3, and data.yaml declares 0..2: id 3 has no name, "
        "and the others probably have their neighbour's"
    )
    assert found("C001", given) == []
    assert found("C004", given) == []


def test_ids_shifted_downwards() -> None:
    """C007 also finds ids that count from 0 under a list that counts from 1."""
    listed = names("a", "b", "c", first=1)
    (row,) = found("C007", evidence(ids(0, 1, 2, listed=listed), names=[listed]))
    assert row["measured"] == -1


def test_one_folder_is_shifted() -> None:
    """C007 says which folder is shifted where the others are not, and C001 leaves only that one out."""
    listed = names("a", "b", "c")
    right = ids(0, 1, 2, listed=listed, annotation="labels/train/0.txt")
    wrong = ids(1, 2, 3, listed=listed, annotation="labels/val/1.txt", image=1)
    stray = ids(0, 9, listed=listed, annotation="labels/test/2.txt", image=2)
    given = evidence(
        [*right, *wrong, *stray], images=3, splits={0: "train", 1: "val", 2: "test"}, names=[listed]
    )
    (row,) = found("C007", given)
    assert "3 of 8 boxes, those in labels/val," in row["message"]
    assert (row["split"], row["related"]) == ("val", ["labels/val/1.txt"])
    assert [row["measured"] for row in found("C001", given)] == [9]


@pytest.mark.parametrize("numbers", [(5,), (4, 5), (0, 3, 5), (1, 2, 3, 4)])
def test_stray_ids_are_no_shift(numbers: tuple[int, ...]) -> None:
    """C007 does not accuse all for a stray id, nor few ids, nor where the first is used or all have names."""
    listed = names("a", "b", "c", "d", "e")
    assert found("C007", evidence(ids(*numbers, listed=listed), names=[listed])) == []


def test_lists_in_another_order() -> None:
    """C002 shows both orders and how often each id is used, split by split."""
    yaml, other = names("cat", "dog"), names("dog", "cat", source="classes.txt")
    boxes = [*ids(0, 0, 0, 1, listed=yaml), *ids(0, 1, 1, 1, listed=yaml, image=1)]
    given = evidence(boxes, images=2, splits={0: "train", 1: "val"}, names=[yaml, other])
    (row,) = found("C002", given)
    assert (row["annotation"], row["related"], row["measured"]) == ("classes.txt", ["data.yaml"], 2)
    assert row["message"] == (
        "the same names in another order: data.yaml has 0 cat, 1 dog, classes.txt has 0 dog, 1 cat. Of the "
        "boxes, id 0 has 75 % in train, 25 % in val; id 1 has 25 % in train, 75 % in val"
    )


def test_agreeing_lists() -> None:
    """C002 is quiet where lists and counts agree."""
    lists = [names("cat", "dog", count=2), names("cat", "dog", source="classes.txt")]
    assert found("C002", evidence(names=lists)) == []


def test_names_missing_from_one_list() -> None:
    """C002 shows the ids that only one of the lists has."""
    lists = [names("cat", "dog", "fox"), names("cat", "dog", source="classes.txt")]
    (row,) = found("C002", evidence(names=lists))
    assert row["message"] == "the lists disagree: data.yaml has 2 fox, classes.txt has 2 (nothing)"


def test_wrong_count() -> None:
    """C002 compares the number of names with the count that is given beside them."""
    (row,) = found("C002", evidence(names=[names("cat", "dog", count=3)]))
    assert (row["annotation"], row["measured"], row["limit"]) == ("data.yaml", 2, 3)


def test_case_and_spaces_are_said_as_such() -> None:
    """C002 says so where lists differ in case or spaces only, and shows the spaces."""
    (row,) = found("C002", evidence(names=[names("cat", "dog"), names("Cat", "dog ", source="classes.txt")]))
    assert row["message"] == (
        "the lists differ in case or spaces only: data.yaml has 0 cat, 1 dog, classes.txt has 0 Cat, 1 'dog '"
    )


def test_lists_without_ids_compare_as_sets() -> None:
    """C002 minds no order where lists have no ids, only the names themselves."""
    first = names("cat", "dog", declares_ids=False)
    assert (
        found("C002", evidence(names=[first, names("dog", "cat", source="b.txt", declares_ids=False)])) == []
    )
    (row,) = found("C002", evidence(names=[first, names("dog", "fox", source="b.txt", declares_ids=False)]))
    assert row["message"] == "the lists disagree: only data.yaml has 'cat', only b.txt has 'fox'"


def test_labelimg_example_list_is_recognised() -> None:
    """C002 says so where a list is the one that labelImg writes by itself."""
    lists = [names("helmet"), names(*classes.LABELIMG, "helmet", source="labels/classes.txt")]
    (row,) = found("C002", evidence(names=lists))
    assert row["message"].endswith(
        "labels/classes.txt begins with labelImg's own example list: it may never have been meant"
    )


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (("cat", ""), '"" (id 1) is blank'),
        (("cat", "\t"), "'\\t' (id 1) is blank and contains U+0009, which cannot be seen"),
        (("cat", "-"), '"-" (id 1) is not a name'),
        (("cat", " dog"), '" dog" (id 1) has spaces around it'),
        (("cat", "hot  dog"), '"hot  dog" (id 1) has several spaces in a row'),
        (("cat", "cat"), '"cat" (id 1) is already the name of id 0'),
        (("cat", "cat "), '"cat " (id 1) has spaces around it and is already the name of id 0'),
        (("cat", "\ufeffdog"), "'\\ufeffdog' (id 1) contains U+FEFF, which cannot be seen"),
    ],
)
def test_bad_names(listed: tuple[str, ...], message: str) -> None:
    """C003 says everything that is wrong with a name, at its line."""
    (row,) = found("C003", evidence(names=[names(*listed)]))
    assert (row["message"], row["line"], row["text"]) == (message, 2, listed[1])


def test_good_names() -> None:
    """C003 minds neither digits, nor other scripts, nor case."""
    listed = ("7", "stop sign", "C++", "Ampel", "信号機", "\u0645\u06cc\u200c\u062e", "Cat", "cat")
    assert found("C003", evidence(names=[names(*listed)])) == []


def test_id_declared_twice() -> None:
    """C003 finds two names for one id."""
    (row,) = found("C003", evidence(names=[NameList("a.json", ((3, "cat", None), (3, "dog", None)))]))
    assert row["message"] == '"dog" (id 3) has the id of "cat"'


def test_never_used_is_told_once_for_all_splits() -> None:
    """C004 tells a category that no split uses once, and one that any split uses not at all."""
    train, val = (
        names("a", "b", "c", source=f"{split}.json", in_annotations=True) for split in ("train", "val")
    )
    boxes = [*ids(0, listed=train, annotation="train.json"), *ids(1, listed=val, annotation="val.json")]
    (row,) = found("C004", evidence(boxes, names=[train, val], kind="coco"))
    assert (row["label"], row["annotation"], row["related"]) == ("c", "train.json", ["val.json"])


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("Helmet", "helmet", "differ only in case or in what separates words"),
        ("stop sign", "stop_sign", "differ only in case or in what separates words"),
        ("StopSign", "stop-sign", "differ only in case or in what separates words"),
        ("dog", "dogs", "look like singular and plural"),
        ("berries", "berry", "look like singular and plural"),
        ("glass", "glasses", "look like singular and plural"),
        ("box", "boxes", "look like singular and plural"),
        ("helmet", "helmut", "differ by one typing error"),
        ("bicycle", "bicyle", "differ by one typing error"),
        ("receipt", "reciept", "differ by one typing error"),
        ("red helmet", "red helmett", "differ by one typing error"),
    ],
)
def test_look_alikes(one: str, other: str, how: str) -> None:
    """C005 sees spelling, number and slips, whichever of the two stands first."""
    for pair in ((one, other), (other, one)):
        assert [(a, b, why) for a, b, why in similar(pair, 5)] == [(*sorted(pair), how)]


@pytest.mark.parametrize(
    "pair",
    [
        ("class1", "class2"), ("class 1", "class 2"), ("type a", "type b"), ("mouse", "house"),
        ("size 1.5", "size 15"), ("left hand", "right hand"), ("A+", "A-"), ("dog", "dog "),
        ("", "a"), ("cat", "car"),
    ],
)  # fmt: skip
def test_not_alike(pair: tuple[str, str]) -> None:
    """C005 leaves alone what differs in digits, in single letters, in the first letter, or is short."""
    assert list(similar(pair, 5)) == []


def test_coco_has_no_look_alikes() -> None:
    """C005 finds nothing among the 80 labels of COCO."""
    assert list(similar([name.strip() for name in COCO.split(",")], 5)) == []


def test_look_alikes_are_counted() -> None:
    """C005 reports the rarer of two labels, with the boxes of both, where labels occur without any list."""
    boxes = [*(box(1, 1, 50, 50, "helmet") for _ in range(3)), box(1, 1, 50, 50, "Helmet")]
    (row,) = found("C005", evidence(boxes))
    assert row["label"] == "Helmet"
    assert row["message"].startswith('"Helmet" (1 box) and "helmet" (3 boxes) differ')


def test_labels_asked_for() -> None:
    """C006 finds boxes of other labels and asked-for labels that do not exist, and says what may be meant."""
    given = evidence([box(1, 1, 50, 50, "cat"), box(1, 1, 50, 50, "dog")], labels=("cat", "Dog", "bird"))
    strange, dog, bird = found("C006", given)
    assert (strange["box"], strange["message"]) == (
        1,
        '"dog" is not among the labels asked for; did you mean "Dog"?',
    )
    assert (
        dog["message"]
        == '"Dog" was asked for, and the dataset does not have it: it has cat, dog; did you mean "dog"?'
    )
    assert bird["message"] == '"bird" was asked for, and the dataset does not have it: it has cat, dog'


def test_labels_in_words_are_checked_against_the_list() -> None:
    """C006 finds labels in words that no names file has; those of ids, and example lists, do not count."""
    listed = names("cat", "dog", source="labels.txt", declares_ids=False)
    boxes = [box(1, 1, 50, 50, "cat"), box(1, 1, 50, 50, "fox")]
    (row,) = found("C006", evidence(boxes, names=[listed]))
    assert (row["box"], row["limit_text"]) == (1, "cat, dog")
    example = names(*classes.LABELIMG, source="predefined_classes.txt", declares_ids=False)
    assert found("C006", evidence(boxes, names=[example])) == []
    assert found("C004", evidence(boxes, names=[example])) == []
    assert (
        found("C006", evidence(boxes, names=[listed, names("fox", source="b.txt", declares_ids=False)])) == []
    )
    other = names("fox", source="train.json")
    assert found("C006", evidence([box(1, 1, 50, 50, "fox", class_id=0)], names=[listed, other])) == []


def test_spans() -> None:
    """Ids without gaps are shown as a span, others one by one, many in part."""
    assert classes.span([2, 0, 1]) == "0..2"
    assert classes.span([1, 3]) == "1, 3"
    assert classes.span([]) == "none"
    assert classes.span(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10, 12, 14 and 12 more"


@pytest.mark.parametrize(("path", "placeholder"), [("a_jpg.rf.0123.jpg", True), ("a.jpg", False)])
def test_roboflow_placeholder_is_called_so(path: str, placeholder: bool) -> None:  # noqa: FBT001
    """C004 says of category 0 of a Roboflow export what it is; the finding stays."""
    listed = names("project", "cat", source="x.json", in_annotations=True)
    given = evidence([box(1, 1, 50, 50, class_id=1)], kind="coco", names=[listed])
    data = replace(given.dataset, images=given.dataset.images.with_columns(path=pl.lit(path)))
    (row,) = found("C004", replace(given, dataset=data))
    assert row["label"] == "project"
    assert row["message"].endswith("Roboflow's placeholder for the project") == placeholder


def test_labels_with_outer_spaces_are_told_once() -> None:
    """C003 tells of them, whether labels stand in a list or only in the annotations, and C005 does not."""
    boxes = [box(1, 1, 50, 50, "person"), box(1, 1, 50, 50, " person ")]
    (row,) = found("C003", evidence(boxes))
    assert row["message"] == 'the label " person " of 1 box has spaces around it'
    assert found("C005", evidence(boxes)) == []
    (row,) = found("C003", evidence([box(1, 1, 50, 50, " cat\n")]))
    assert row["message"].endswith("has spaces and line breaks around it")
    listed = evidence(boxes, names=[names("person", " person ")])
    assert (found("C005", listed), len(found("C003", listed))) == ([], 1)


def shapes(rng: random.Random, kinds: int, labels: int, *, mixed: bool) -> list[dict[str, Any]]:
    """Boxes of tall, wide and square things, labelled by their kind or by chance."""
    sides = ((18, 90), (26, 26), (96, 18))[:kinds]
    boxes = []
    for _ in range(360):
        kind = rng.randrange(kinds)
        w, h = (side * rng.uniform(0.85, 1.15) for side in sides[kind])
        label = rng.randrange(labels) if mixed else kind % labels
        boxes.append(box(1, 1, 1 + w, 1 + h, f"kind{label}"))
    return boxes


@pytest.mark.parametrize(("kinds", "labels"), [(2, 2), (2, 5), (3, 3)])
def test_labels_dealt_out_by_chance_are_said(kinds: int, labels: int) -> None:
    """Where boxes have two clear shapes, and each label has both in the same shares."""
    rng = random.Random(kinds * labels)
    assert len(found("C008", evidence(shapes(rng, kinds, labels, mixed=True)))) == 1
    assert found("C008", evidence(shapes(rng, kinds, labels, mixed=False))) == []


def test_one_label_cannot_be_mixed_up() -> None:
    """A single label of things with two clear shapes has no names that could have been dealt out."""
    assert found("C008", evidence(shapes(random.Random(1), 2, 1, mixed=True))) == []


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_like_shapes_are_not_judged(seed: int) -> None:
    """Where shapes are spread evenly or normally, labels need not have to do with them."""
    rng = random.Random(seed)
    even = [
        box(1, 1, 1 + rng.uniform(10, 90), 1 + rng.uniform(10, 90), f"k{rng.randrange(3)}")
        for _ in range(300)
    ]
    normal = [box(1, 1, 1 + 50 * math.exp(rng.gauss(0, 0.5)), 51, f"k{rng.randrange(3)}") for _ in range(300)]
    assert found("C008", evidence(even)) == []
    assert found("C008", evidence(normal)) == []
