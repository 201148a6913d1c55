"""Labels that tell a detector nothing.

## What it does
Compares the labels of boxes with what a detector takes their objects for, over all boxes that it finds: as
Cohen's kappa, which is 1 where both always agree and 0 where they agree as often as by chance. Reports the
dataset where kappa is below `kappa` and the agreement could be chance (its p-value is above `p-value`). The
detector was trained by `trainworthy probe` on other images of the same dataset. Without a probe of this very
content, or with a single label, the rule does not apply.

## Why it hurts training
When names were shuffled, or a list of names was exchanged for another one, every file is in order and nothing
can be learnt: boxes are found, and their classes are guessed. The mAP with all classes taken for one is high,
and the mAP is not.

## Example
The labels were sorted after the annotation, and the ids were not.

## When it is wrong
When labels tell apart what cannot be seen at the size that the detector saw, such as two makes of one bottle.
Probe again with a larger `--image-size`; where it helps, the labels are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none; measured is Cohen's kappa."""
    assert evidence.probe is not None
    agreement = evidence.probe.agreement
    kappa, boxes = agreement.get("kappa", 1.0), agreement.get("boxes", 0.0)
    by_chance = agreement.get("p_value", 0.0) > options["p-value"]
    if boxes < options["boxes"] or kappa >= options["kappa"] or not by_chance:
        return findings.NONE
    return findings.one(
        f"a detector that finds {boxes:,.0f} boxes takes them for their labels no more often than chance would "
        f"(Cohen's kappa {kappa:.2f}), as if names had been dealt out",
        measured=round(kappa, 4),
        limit=options["kappa"],
        unit="Cohen's kappa",
    )


def _example(kappa: float, p_value: float) -> Example:
    return Example(
        (Picture("street.jpg", scene=301, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),),
        settings={"probe": "probe.json"},
        probe={"suspects": [], "label_agreement": {"kappa": kappa, "boxes": 400, "p_value": p_value}},
        expect=({"image": None, "measured": 0.01},) if kappa < 0.1 else (),
    )


RULE = Rule(
    code="L006",
    name="labels-tell-a-detector-nothing",
    severity="warning",
    summary="a detector agrees with the labels no more than chance would",
    check=check,
    clean=_example(0.83, 0.0),
    dirty=_example(0.01, 0.4),
    needs=("pixels", "probe"),
    options=(
        Option(
            "kappa",
            0.1,
            "below which Cohen's kappa the labels tell nothing, -1..1",
            "Landis and Koch (1977) call agreement up to 0.2 slight",
        ),
        Option(
            "p-value",
            0.001,
            "above which probability the agreement may be chance, 0..1",
            "one dataset in a thousand whose labels tell little, but something, would be reported",
        ),
        Option(
            "boxes",
            40.0,
            "how many boxes the detector must have found",
            "with fewer, kappa is uncertain by more than 0.15",
        ),
    ),
)
