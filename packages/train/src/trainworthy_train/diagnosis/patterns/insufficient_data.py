"""The log has too few points, or the run was too short, to tell."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import VARIED, Explanation, Hint, Indicator, Pattern, above, below

_FEW_IMAGES = Hint(
    "There are too few training images to learn from.",
    "The audit counts {scenes} distinct ones.",
    (below("scenes", 150, 20),),
)
_FEW_VALIDATION_IMAGES = Hint(
    "The validation split is missing, or so small that its metrics are mostly noise.",
    "It has {val_images} images.",
    (below("val_images", 30, 5),),
)
_ADD_IMAGES = Hint(
    "Add images of scenes that the dataset does not have yet.", conditions=(below("scenes", 600, 60),)
)
_VALIDATE = Hint(
    "Make sure that there is a validation split, as varied as the images that the detector will see in use.",
    conditions=(below("val_images", 100, 10),),
)

PATTERN = Pattern(
    id="insufficient-data",
    order=10,
    title="insufficient data",
    look="There are too few points, or the run ends while the curves are still changing.",
    severity="warning",
    meaning="There is not enough data to trust a trend: the curves may be the start of a good run or of a bad one.",
    causes=(
        Hint(
            "The run was too short, or was cut off.",
            "It has {evaluations} evaluations.",
            (below("evaluations", 22, 4),),
        ),
        _FEW_IMAGES,
        _FEW_VALIDATION_IMAGES,
    ),
    advice=(Hint("Train for longer: until mAP has not risen for ten evaluations."), _ADD_IMAGES, _VALIDATE),
    refuted_by="Ten more evaluations in which mAP neither rises nor falls by more than its noise.",
    experiment="Continue this run from its last weights to three times its length, and change nothing else.",
    if_long_enough=Explanation(
        meaning="There are too few images to trust the curves: with other images the run may go differently.",
        causes=(_FEW_IMAGES, _FEW_VALIDATION_IMAGES),
        advice=(_ADD_IMAGES, _VALIDATE),
        refuted_by="The same mAP, within its noise, with other images held out for validation.",
        experiment="Train again with twice as many images, of new scenes, and change nothing else.",
    ),
    rules=("S001", "S002", "N001", "S003"),
    indicators=(
        Indicator(
            "few-evaluations",
            "The log has {evaluations} evaluations of mAP; a verdict needs more than ten.",
            6.0,
            (below("evaluations", 11, 0.6),),
            too_short=True,
        ),
        Indicator(
            "few-points",
            "The log has {loss_points} points of the training loss; a verdict needs more than ten.",
            2.0,
            (below("points", 11, 0.6), below("evaluations", 1, 0.2)),
            too_short=True,
        ),
        Indicator(
            "still-rising",
            "Over the last third of only {evaluations} evaluations {metric} {late_change}.",
            3.0,
            (above("rising", 0.12, 0.03), above("late_rising", 0.04, 0.01), below("evaluations", 22, 4)),
            too_short=True,
        ),
        Indicator(
            "unfinished",
            "Over the last third of the run {metric} {late_change}: the run has not converged.",
            3.5,
            (above("rising", 0.1, 0.02), above("late_rising", 0.035, 0.008), below("level", 0.42, 0.03)),
            too_short=True,
        ),
        Indicator(
            "few-images",
            "There are only {scenes} distinct training images.",
            8.0,
            (below("scenes", 18, 2), below("evaluations", 33, 3), above("distinct", VARIED, 0.05)),
        ),
        Indicator(
            "tiny-validation",
            "There are only {val_images} validation images, so that single objects decide the mAP.",
            8.0,
            (below("val_images", 8, 1.5),),
        ),
    ),
)
