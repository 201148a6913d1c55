"""Training makes no meaningful progress."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import CONFUSED, ENOUGH, VARIED, Indicator, Pattern, above, below

PATTERN = Pattern(
    id="not-learning",
    order=40,
    title="not learning",
    look="The loss stays high and flat, and mAP stays near zero.",
    severity="error",
    meaning="Training makes no meaningful progress: the labels cannot be learned from the images.",
    causes=(
        "Wrong labels, or class ids that do not match the list of names.",
        "A broken annotation format: boxes that are not where the objects are, or labels that were not loaded.",
        "Settings that cannot work, above all the learning rate.",
    ),
    advice=(
        "Check the order of the names (`.names`, `data.yaml`) against the ids in the labels.",
        "Look at twenty images with their boxes drawn on them.",
        "Confirm that the annotation format is the one that the trainer expects.",
        "Then change settings: a learning rate ten times higher, and ten times lower.",
    ),
    refuted_by="An mAP that rises on the training images themselves: then the model learns, but not what validation "
    "needs.",
    experiment="Train on ten images for a hundred epochs and evaluate on the same ten: if the model cannot memorize "
    "even these, labels or settings are wrong.",
    rules=("C007", "C001", "C002", "C003", "A001", "B008", "C006"),
    indicators=(
        Indicator(
            "near-zero",
            "After {evaluations:.0f} evaluations the best smoothed mAP is {peak:.3f}.",
            7.0,
            (below("peak", 0.075, 0.012), ENOUGH),
        ),
        Indicator(
            "ends-near-zero",
            "Smoothed mAP ends at {level:.3f}, and was never above {peak:.2f}.",
            3.0,
            (below("level", 0.075, 0.012), below("peak", 0.2, 0.02), ENOUGH),
        ),
        Indicator(
            "memorized-only",
            "mAP is {train_level:.2f} on training images and {level:.3f} on validation images: what was learned holds "
            "for no other image.",
            2.0,
            (
                above("train_level", 0.4, 0.06),
                below("level", 0.09, 0.015),
                above("distinct", VARIED, 0.05),
                ENOUGH,
            ),
        ),
        Indicator(
            "flat-loss",
            "The smoothed training loss {loss_fall:fell only} over the run.",
            1.5,
            (below("loss_fall", 0.12, 0.03), below("peak", 0.15, 0.03), below("rising", 0.12, 0.02)),
        ),
        Indicator(
            "no-labels",
            "The box losses are exactly 0 throughout: no labels were loaded.",
            12.0,
            (above("zero_loss", 0.5, 0.05),),
        ),
        Indicator(
            "classes-confused",
            "mAP with all classes treated as one is {any_class_gap:.2f} higher: boxes are found, but with "
            "wrong classes.",
            8.0,
            (above("any_class_gap", CONFUSED, 0.03), ENOUGH),
        ),
        Indicator(
            "wrong-classes",
            "The audit found class ids that do not match the names.",
            8.0,
            (above("wrong_classes", 0.1, 0.02), ENOUGH),
        ),
        Indicator(
            "unlabelled",
            "The audit found no annotation for {unlabelled:.0%} of the images.",
            7.0,
            (above("unlabelled", 0.4, 0.05), below("peak", 0.2, 0.03), ENOUGH),
        ),
    ),
)
