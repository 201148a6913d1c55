"""Training makes no meaningful progress."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import CONFUSED, ENOUGH, VARIED, Pattern, Sign, above, below

PATTERN = Pattern(
    id="not-learning",
    title="not learning",
    look="The loss stays high and flat, and mAP near zero.",
    meaning="Training makes no meaningful progress: what the labels say cannot be learnt from the images.",
    causes=(
        "Wrong labels, or class ids that do not mean what the list of names says.",
        "A broken annotation format: boxes that are not where the objects are, or labels that were not loaded.",
        "Settings that cannot work, first of all the learning rate.",
    ),
    advice=(
        "Check the order of the names (`.names`, `data.yaml`) against the ids in the labels.",
        "Look at twenty images with their boxes drawn on them.",
        "Confirm that the annotation format is the one that the trainer expects.",
        "Then adjust settings: a learning rate ten times higher, and ten times lower.",
    ),
    refuted_by="An mAP that rises on the training images themselves: then it learns, but not what validation asks.",
    experiment="Train on ten images for a hundred epochs and evaluate on the same ten: what cannot learn even "
    "these by heart has wrong labels or settings.",
    rules=("C007", "C001", "C002", "C003", "A001", "B008", "C006"),
    signs=(
        Sign(
            "near-zero",
            "After {evaluations:.0f} evaluations the best of smoothed mAP is {peak:.3f}.",
            7.0,
            (below("peak", 0.075, 0.012), ENOUGH),
        ),
        Sign(
            "ends-near-zero",
            "Smoothed mAP ends at {level:.3f}, and was never over {peak:.2f}.",
            3.0,
            (below("level", 0.075, 0.012), below("peak", 0.2, 0.02), ENOUGH),
        ),
        Sign(
            "by-heart-only",
            "mAP on training images is {train_level:.2f}, on validation images {level:.3f}: nothing holds for others.",
            2.0,
            (
                above("train_level", 0.4, 0.06),
                below("level", 0.09, 0.015),
                above("distinct", VARIED, 0.05),
                ENOUGH,
            ),
        ),
        Sign(
            "flat-loss",
            "The smoothed training loss {loss_fall:fell only} over the run.",
            1.5,
            (below("loss_fall", 0.12, 0.03), below("peak", 0.15, 0.03)),
        ),
        Sign(
            "no-labels",
            "The losses of boxes are exactly 0 throughout: no labels were loaded.",
            12.0,
            (above("zero_loss", 0.5, 0.05),),
        ),
        Sign(
            "classes-confused",
            "mAP with all classes taken for one is {any_class_gap:.2f} higher: boxes are found, classes are not.",
            8.0,
            (above("any_class_gap", CONFUSED, 0.03), ENOUGH),
        ),
        Sign(
            "wrong-classes",
            "The audit found class ids that do not agree with the names.",
            8.0,
            (above("wrong_classes", 0.1, 0.02), ENOUGH),
        ),
        Sign(
            "unlabelled",
            "The audit found no annotation for {unlabelled:.0%} of the images.",
            7.0,
            (above("unlabelled", 0.4, 0.05), below("peak", 0.2, 0.03), ENOUGH),
        ),
    ),
)
