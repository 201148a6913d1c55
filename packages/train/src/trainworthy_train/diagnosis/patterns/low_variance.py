"""The easy repetition is learnt quickly, and then nothing new comes."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import ENOUGH, VARIED, Pattern, Sign, above, below

#: A level that is too low, though not zero, and no chance finding: enough evaluations, and none that collapse.
LOW = (
    below("level", 0.45, 0.04),
    above("level", 0.08, 0.015),
    ENOUGH,
    below("dropouts", 0.1, 0.015),
)

PATTERN = Pattern(
    id="low-variance",
    title="low variance",
    look="The loss reaches a plateau and mAP barely improves, at a level that is too low.",
    meaning="The model learnt quickly what repeats in the images; the rest of them holds no new information.",
    causes=(
        "The images repeat one another: one background, one angle, one light.",
        "There are no images without objects (negatives), so that nothing says what an object is not.",
        "The hard cases that validation asks for are missing from training.",
    ),
    advice=(
        "Add variety: other places, angles, distances, times of day.",
        "Add images without objects, of places where the detector will look.",
        "Capture the hard cases on purpose: look at what validation misses, and photograph more of it.",
    ),
    refuted_by="A plateau at the same height after training on twice as many different scenes: then the model or "
    "the labels are the limit.",
    experiment="Add fifty images of scenes that are not in training yet, and train again with the same settings.",
    rules=("D005", "D001", "D002", "N003", "S003"),
    signs=(
        Sign(
            "low-plateau",
            "Smoothed mAP ends at {level:.2f}; in the last third of the run it {rising:rose only|of its best}.",
            4.0,
            (*LOW, below("rising", 0.3, 0.06)),
        ),
        Sign(
            "early-plateau",
            "Smoothed mAP was within a tenth of its best after {reached:.0%} of the run, and ends at only {level:.2f}.",
            1.5,
            (below("reached", 0.4, 0.08), *LOW),
        ),
        Sign(
            "validation-stuck",
            "The smoothed validation loss {val_fall:fell only} over the run.",
            1.0,
            (below("val_fall", 0.15, 0.03), *LOW),
        ),
        Sign(
            "loss-plateau",
            "In the second half of the run the smoothed training loss {late_fall:fell only|of its range}.",
            2.5,
            (below("late_fall", 0.22, 0.04), *LOW),
        ),
        Sign(
            "few-scenes",
            "The audit found only {distinct:.0%} of the images to be different scenes: {scenes:.0f} to learn from.",
            9.0,
            (below("distinct", VARIED, 0.05), below("scenes", 60, 4), below("copied", 0.2, 0.04), ENOUGH),
        ),
        Sign(
            "particular",
            "mAP on training images is {train_gap:.2f} above that on validation images, which does not move.",
            1.5,
            (
                above("train_gap", 0.35, 0.06),
                below("drawdown", 0.08, 0.015),
                below("rising", 0.3, 0.06),
                ENOUGH,
            ),
        ),
    ),
)
