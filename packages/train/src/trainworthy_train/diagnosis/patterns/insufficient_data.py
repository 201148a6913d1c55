"""Too few points or too short a run to tell."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import VARIED, Pattern, Sign, Words, above, below

FEW_IMAGES = "There are too few training images for a step to teach much."
FEW_VALIDATED = "The validation split is missing, or so small that its figures are noise."
ADD_IMAGES = "Add images, of scenes that are not there yet."
VALIDATE = (
    "Make sure that there is a validation split, and that it is as varied as what the detector will meet."
)

PATTERN = Pattern(
    id="insufficient-data",
    title="insufficient data",
    look="Too few points, or a run that ends while everything still moves.",
    meaning="There is not enough signal yet to trust any trend: what the chart shows may be the start of a good "
    "run or of a bad one.",
    causes=(
        "The run was too short, or was cut off.",
        FEW_IMAGES,
        FEW_VALIDATED,
    ),
    advice=(
        "Train for longer: until mAP has not risen for ten evaluations.",
        ADD_IMAGES,
        VALIDATE,
    ),
    refuted_by="Ten more evaluations in which mAP neither rises nor falls by more than its noise.",
    experiment="Continue this run from its last weights to three times its length, with nothing else changed.",
    long_enough=Words(
        meaning="There are too few images to trust what the chart shows: with others, the run may go otherwise.",
        causes=(FEW_IMAGES, FEW_VALIDATED),
        advice=(ADD_IMAGES, VALIDATE),
        refuted_by="The same mAP, within its noise, where other images are held out for validation.",
        experiment="Train anew with twice the images, of new scenes, with nothing else changed.",
    ),
    rules=("S001", "S002", "N001", "S003"),
    signs=(
        Sign(
            "few-evaluations",
            "Evaluations of mAP: {evaluations:.0f}, where a verdict needs more than ten.",
            6.0,
            (below("evaluations", 11, 0.6),),
            short=True,
        ),
        Sign(
            "few-points",
            "Points of the training loss: {points:.0f}, where a verdict needs more than ten.",
            2.0,
            (below("points", 11, 0.6), below("evaluations", 1, 0.2)),
            short=True,
        ),
        Sign(
            "still-rising",
            "Smoothed mAP {rising:rose|of its best} in the last third of only {evaluations:.0f} evaluations.",
            3.0,
            (above("rising", 0.12, 0.03), above("late_rising", 0.04, 0.01), below("evaluations", 22, 4)),
            short=True,
        ),
        Sign(
            "unfinished",
            "Smoothed mAP {rising:rose|of its best} in the last third: the run has not converged.",
            2.5,
            (above("rising", 0.3, 0.05), above("late_fall", 0.25, 0.04), below("level", 0.35, 0.05)),
            short=True,
        ),
        Sign(
            "few-images",
            "Different training images: only {scenes:.0f}.",
            8.0,
            (below("scenes", 18, 2), below("evaluations", 33, 3), above("distinct", VARIED, 0.05)),
        ),
        Sign(
            "tiny-validation",
            "Validation images: {val_images:.0f}, so that single objects decide the mAP.",
            8.0,
            (below("val_images", 8, 1.5),),
        ),
    ),
)
