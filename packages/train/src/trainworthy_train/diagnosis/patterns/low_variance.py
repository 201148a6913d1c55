"""What repeats in the images is learned quickly; after that there is nothing new to learn."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, VARIED, Hint, Indicator, Pattern, above, below

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
        Hint(
            "The images repeat one another: one background, one angle, one light.",
            "The audit found {distinct} of the images to be distinct scenes.",
            (below("distinct", 0.85, 0.03),),
        ),
        Hint(
            "What is learned holds for the training images only.",
            "On training images mAP@50 ends at {train_end}, on validation images at {map50_end}.",
            (above("train_gap", 0.25, 0.04),),
        ),
        Hint("There are no images without objects (negatives) to show what is not an object."),
        Hint("The hard cases of the validation split are missing from training."),
    ),
    advice=(
        Hint(
            "Add variety: other places, angles, distances, times of day.",
            conditions=(below("distinct", 0.95, 0.01),),
        ),
        Hint("Add images without objects, of places where the detector will be used."),
        Hint(
            "Collect hard cases on purpose: look at what is missed in validation, and add more images of it."
        ),
    ),
    refuted_by="A plateau at the same level after training on twice as many distinct scenes: then the model or "
    "the labels are the limit.",
    experiment="Add fifty images of scenes that are not in training yet, and train again with the same settings.",
    rules=("D005", "D001", "D002", "N003", "S003"),
    indicators=(
        Indicator(
            "low-plateau",
            "The median of the last {end_count} evaluations of {metric} is {end}; over the last third of "
            "the run it {late_change}.",
            4.0,
            (*_LOW, below("rising", 0.3, 0.06)),
        ),
        Indicator(
            "early-plateau",
            "{metric} first came within a tenth of its best ({best}) at {unit} {near_step} of {last_step}.",
            1.5,
            (below("reached", 0.4, 0.08), *_LOW),
        ),
        Indicator(
            "validation-stuck",
            "The validation loss {val_over_run}; its lowest is {val_min} at {unit} {val_min_step}.",
            1.0,
            (below("val_fall", 0.15, 0.03), *_LOW),
        ),
        Indicator(
            "loss-plateau",
            "From the middle of the run to its end the training loss {loss_half}.",
            2.5,
            (below("late_fall", 0.22, 0.04), *_LOW),
        ),
        Indicator(
            "few-scenes",
            "The audit found only {distinct} of the images to be distinct scenes: {scenes} to learn from.",
            9.0,
            (below("distinct", VARIED, 0.05), below("scenes", 60, 4), below("copied", 0.2, 0.04), ENOUGH),
        ),
        Indicator(
            "training-images-only",
            "On training images mAP@50 ends at {train_end}, on validation images at {map50_end}; over "
            "the last third of the run it {late_change}.",
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
