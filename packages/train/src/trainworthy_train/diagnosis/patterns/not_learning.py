"""Training makes no meaningful progress."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import (
    CONFUSED,
    ENOUGH,
    VARIED,
    Hint,
    Indicator,
    Pattern,
    above,
    below,
)

PATTERN = Pattern(
    id="not-learning",
    order=40,
    title="not learning",
    look="The loss stays high and flat, and mAP stays near zero.",
    severity="error",
    meaning="Training makes no meaningful progress: the labels cannot be learned from the images.",
    causes=(
        Hint(
            "Wrong labels, or class ids that do not match the list of names.",
            "The audit found class ids without a name, or names that disagree.",
            (above("wrong_classes", 0.02, 0.005),),
        ),
        Hint(
            "The names of the labels are mixed up.",
            "With all classes treated as one mAP@50 ends at {any_class_end}, with their classes at {map50_end}.",
            (above("any_class_gap", CONFUSED, 0.05),),
        ),
        Hint(
            "Labels that were not loaded.",
            "The box losses are exactly zero throughout.",
            (above("zero_loss", 0.5, 0.05),),
        ),
        Hint(
            "Images without annotations.",
            "The audit found none for {unlabelled} of the images.",
            (above("unlabelled", 0.3, 0.05),),
        ),
        Hint(
            "A broken annotation format: boxes that are not where the objects are.",
            "The audit found unwaived wrong boxes or broken annotations in {unwaived_broken_labels} of the images.",
            (above("unwaived_broken_labels", 0.02, 0.005),),
        ),
        Hint(
            "Settings that cannot work, above all the learning rate.",
            "Over the run the training loss {loss_over_run}.",
            (below("loss_fall", 0.12, 0.03),),
        ),
    ),
    advice=(
        Hint("Check the order of the names (`.names`, `data.yaml`) against the ids in the labels."),
        Hint("Look at twenty images with their boxes drawn on them."),
        Hint("Confirm that the annotation format is the one that the trainer expects."),
        Hint("Then change settings: a learning rate ten times higher, and ten times lower."),
    ),
    refuted_by="An mAP that rises on the training images themselves: then the model learns, but not what validation "
    "needs.",
    experiment="Train on ten images for a hundred epochs and evaluate on the same ten: if the model cannot memorize "
    "even these, labels or settings are wrong.",
    rules=("C007", "C001", "C002", "C003", "A001", "B008", "C006"),
    indicators=(
        Indicator(
            "near-zero",
            "After {evaluations} evaluations the best {metric} is {best}.",
            7.0,
            (below("peak", 0.075, 0.012), ENOUGH),
        ),
        Indicator(
            "ends-near-zero",
            "The median of the last {end_count} evaluations of {metric} is {end}; its best was {best} at "
            "{unit} {best_step}.",
            3.0,
            (below("level", 0.075, 0.012), below("peak", 0.2, 0.02), ENOUGH),
        ),
        Indicator(
            "memorized-only",
            "On training images mAP@50 ends at {train_end}, on validation images at {map50_end}: what "
            "was learned holds for no other image.",
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
            "Over the run the training loss {loss_over_run}.",
            1.5,
            (below("loss_fall", 0.12, 0.03), below("peak", 0.15, 0.03), below("rising", 0.12, 0.02)),
        ),
        Indicator(
            "no-labels",
            "The box losses are exactly zero throughout: no labels were loaded.",
            12.0,
            (above("zero_loss", 0.5, 0.05),),
        ),
        Indicator(
            "classes-confused",
            "With all classes treated as one mAP@50 ends at {any_class_end}, with their classes at "
            "{map50_end}: boxes are found, but with wrong classes.",
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
            "The audit found no annotation for {unlabelled} of the images.",
            7.0,
            (above("unlabelled", 0.4, 0.05), below("peak", 0.2, 0.03), ENOUGH),
        ),
    ),
)
