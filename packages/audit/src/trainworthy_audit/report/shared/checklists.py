"""The trainers' two checklists, filled in from the audit.

The items and the codes that answer them are data: an item is judged by how those rules fared, whatever they
look at. An item without codes is one that only a person can judge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from trainworthy_audit.report.shared.groups import count
from trainworthy_audit.types import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainworthy_audit.types import AuditResult, Outcome

State = Literal["passed", "error", "warning", "info", "judge", "unchecked"]


@dataclass(frozen=True)
class Item:
    """A line of a checklist."""

    text: str
    codes: tuple[str, ...] = ()  # of the rules that answer it
    look: str = ""  # the part of the report in which a person can judge it
    images: bool = False  # without images nothing of it is known, although a rule may find something


@dataclass(frozen=True)
class Answer:
    """An item as the audit answers it."""

    item: Item
    state: State
    told: str
    rules: tuple[Outcome, ...]  # that found something


STARTER = (
    Item(
        "Labels are consistent: one name for one thing, spelled one way",
        ("C003", "C005", "C006", "B005", "L004", "L006"),
    ),
    Item(
        "Boxes enclose their objects tightly, and no object is left out",
        ("L001", "L002", "L003", "L005"),
        look="spot-check",
    ),
    Item("Enough examples of each label", ("N001", "L007"), look="labels"),
    Item("Labels are balanced", ("N002", "C004"), look="labels"),
    Item("Variety: light, angles, distances and backgrounds as in use", ("D001", "D002", "D005")),
    Item("Images without objects are among them, as in use", ("N003", "A004")),
    Item(
        "Truncated and difficult objects are few, and flagged",
        ("O001", "O002", "O003", "O004"),
        look="labels",
    ),
    Item(
        "A validation split, large enough, with every label", ("S001", "S002", "S003", "L008"), look="splits"
    ),
    Item("Images are sharp, lit, and alike in size to those in use", ("I008", "I009", "I010"), look="shapes"),
)

DEBUGGING = (
    Item("Spot-check 20 to 50 images across the dataset", look="spot-check"),
    Item("The order of names fits the ids in the labels", ("C001", "C002", "C007")),
    Item("Boxes are in bounds, finite and not zero-sized", ("B001", "B002", "B003", "B008")),
    Item("Boxes are neither specks nor repeated", ("B004", "B006", "B007", "B009")),
    Item(
        "Every image can be read, as what it claims to be",
        ("I001", "I002", "I003", "I004", "I005", "I006", "I007"),
    ),
    Item("Every annotation can be read", ("A001", "A005", "A007")),
    Item(
        "Every annotation has its image, and every image its annotation",
        ("A002", "A003", "A006", "S004"),
        images=True,
    ),
    Item(
        "No duplicates, and validation is not too similar to training",
        ("D001", "D002", "D003", "D004", "D006", "D007", "D008", "D009", "D010"),
    ),
)


def answer(audit: AuditResult, items: tuple[Item, ...]) -> list[Answer]:
    """Each item with its state, a sentence, and the rules that found something."""
    return [_answer(audit, item) for item in items]


def _answer(audit: AuditResult, item: Item) -> Answer:
    if not item.codes:
        return Answer(item, "judge", "Yours to judge.", ())
    asked = [audit.outcomes[code] for code in item.codes if code in audit.outcomes]
    unprobed = [one for one in asked if "probe" in one.rule.needs and one.status == "not-applicable"]
    if unprobed and not audit.evidence.dataset.annotations_only:
        told = f"`trainworthy probe` would answer it ({_codes(unprobed)})"
        asked = [one for one in asked if one not in unprobed]
        if not asked:
            return Answer(item, "judge", f"Yours to judge; {told}.", ())
        known = _answered(audit, item, asked)
        return replace(
            known, told=f"{known.told.removesuffix('.')}; {told.replace('answer it', 'say more')}."
        )
    return _answered(audit, item, asked)


def _answered(audit: AuditResult, item: Item, asked: list[Outcome]) -> Answer:
    """What these rules say of an item."""
    ran = [outcome for outcome in asked if outcome.status in {"passed", "failed"}]
    found = tuple(outcome for outcome in asked if outcome.findings or outcome.status == "crashed")
    if any(outcome.status == "crashed" for outcome in asked):
        return Answer(item, "unchecked", "Not checked: a rule crashed.", found)
    if not ran:
        reasons = [f"{reason} ({_codes(alike)})" for reason, alike in by_reason(asked).items()]
        told = f"Not checked: {'; '.join(reasons) or 'the rules were switched off'}."
        return Answer(item, "unchecked", told, found)
    for severity in SEVERITIES:
        alike = [
            outcome for outcome in found if outcome.severity == severity and outcome.findings > outcome.waived
        ]
        if alike:
            number = sum(outcome.findings - outcome.waived for outcome in alike)
            return Answer(item, severity, f"{count(number, 'finding')} of {_codes(alike)}.", found)
    passed = f"Passed {_codes(ran)}"
    if audit.evidence.dataset.annotations_only and (item.images or len(ran) < len(asked)):
        unseen = [outcome for outcome in asked if "pixels" in outcome.rule.needs]
        if item.images or unseen:
            without = f" ({_codes(unseen)})" if unseen else ""
            return Answer(item, "unchecked", f"{passed}; not checked without images{without}.", found)
    return Answer(item, "passed", f"{passed}, by a waiver." if found else f"{passed}.", found)


def by_reason(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """{why rules were not applicable: those rules}, so that each reason is told once."""
    alike: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.status == "not-applicable":
            alike.setdefault(outcome.reason, []).append(outcome)
    return alike


def _codes(outcomes: list[Outcome]) -> str:
    return ", ".join(outcome.rule.code for outcome in outcomes)
