"""What repeats in the images is learned quickly; after that there is nothing new to learn."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, VARIED, Indicator, Pattern, above, below

#: A level that is too low but not zero, over enough evaluations, and without evaluations at which mAP collapses.
_LOW = (
    below("level", 0.45, 0.04),
    above("level", 0.08, 0.015),
    ENOUGH,
    below("collapses", 0.1, 0.015),
    below("late_rising", 0.035, 0.008),
    below("decline_clear", 1.2, 0.1),
)

PATTERN = Pattern(
    id="low-variance",
    order=20,
    title="low variance",
    look="The loss reaches a plateau and mAP barely improves, at a level that is too low.",
    severity="warning",
    meaning="The model quickly learned what repeats in the images; the rest of them adds no new information.",
    causes=(
        "The images repeat one another: one background, one angle, one light.",
        "There are no images without objects (negatives) to show what is not an object.",
        "The hard cases of the validation split are missing from training.",
    ),
    advice=(
        "Add variety: other places, angles, distances, times of day.",
        "Add images without objects, of places where the detector will be used.",
        "Collect hard cases on purpose: look at what is missed in validation, and add more images of it.",
    ),
    refuted_by="A plateau at the same level after training on twice as many distinct scenes: then the model or "
    "the labels are the limit.",
    experiment="Add fifty images of scenes that are not in training yet, and train again with the same settings.",
    rules=("D005", "D001", "D002", "N003", "S003"),
    indicators=(
        Indicator(
            "low-plateau",
            "Smoothed mAP ends at {level:.2f}; in the last third of the run it {rising:rose only|of its best}.",
            4.0,
            (*_LOW, below("rising", 0.3, 0.06)),
        ),
        Indicator(
            "early-plateau",
            "Smoothed mAP was within a tenth of its best after {reached:.0%} of the run, and ends at only {level:.2f}.",
            1.5,
            (below("reached", 0.4, 0.08), *_LOW),
        ),
        Indicator(
            "validation-stuck",
            "The smoothed validation loss {val_fall:fell only} over the run.",
            1.0,
            (below("val_fall", 0.15, 0.03), *_LOW),
        ),
        Indicator(
            "loss-plateau",
            "In the second half of the run the smoothed training loss {late_fall:fell only|of its range}.",
            2.5,
            (below("late_fall", 0.22, 0.04), *_LOW),
        ),
        Indicator(
            "few-scenes",
            "The audit found only {distinct:.0%} of the images to be distinct scenes: {scenes:.0f} to learn from.",
            9.0,
            (below("distinct", VARIED, 0.05), below("scenes", 60, 4), below("copied", 0.2, 0.04), ENOUGH),
        ),
        Indicator(
            "training-images-only",
            "mAP on training images is {train_gap:.2f} above mAP on validation images, which does not change.",
            1.5,
            (
                above("train_gap", 0.35, 0.06),
                below("decline_clear", 1.0, 0.08),
                below("rising", 0.3, 0.06),
                ENOUGH,
            ),
        ),
    ),
)
