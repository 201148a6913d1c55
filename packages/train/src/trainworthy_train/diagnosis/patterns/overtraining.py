"""Better on the training images, worse on validation images: the model memorizes."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, VARIED, Hint, Indicator, Pattern, above, below

PATTERN = Pattern(
    id="overtraining",
    order=30,
    title="overtraining",
    look="The loss keeps falling, while mAP reaches a peak (possibly a very high one) and then declines.",
    severity="error",
    meaning="The model gets better on the training images and worse on others: it memorizes.",
    causes=(
        Hint(
            "The run went on long after its best.",
            "{fallen} had its best stretch up to {unit} {fallen_last} of {last_step}.",
            (above("since_best", 0.35, 0.05),),
        ),
        Hint(
            "There is too little variety for such a long run.",
            "The audit counts {scenes} distinct training images.",
            (below("scenes", 400, 50),),
        ),
        Hint(
            "The validation split is too small to represent what the detector will see in use.",
            "It has {val_images} images.",
            (below("val_images", 60, 10),),
        ),
        Hint(
            "There are duplicates and near-duplicates, which are memorized.",
            "The audit found {copied} of the images to be exact copies.",
            (above("copied", 0.03, 0.005),),
        ),
    ),
    advice=(
        Hint(
            "Keep the weights of {unit} {best_step}, the best evaluation of {metric} ({best}), not the last ones."
        ),
        Hint("Stop there next time.", conditions=(above("since_best", 0.1, 0.02),)),
        Hint(
            "Add variety: images of other places, times and angles.", conditions=(below("scenes", 1000, 100),)
        ),
        Hint("Remove the duplicates.", conditions=(above("copied", 0.01, 0.002),)),
        Hint(
            "Make the validation split larger and less like training: too small, too clean or too similar "
            "looks too good.",
            conditions=(below("val_images", 200, 20),),
        ),
        Hint("With one fixed camera it may be acceptable: what is memorized is what the detector will see."),
    ),
    refuted_by="A run with another seed that does not fall after its peak, or validation on new images on which "
    "the last weights do as well as the best ones.",
    experiment="Evaluate the best and the last weights on images from another day: the difference is what was lost.",
    rules=("D003", "D002", "D001", "S002", "D005"),
    indicators=(
        Indicator(
            "decline",
            "{fallen} had its best stretch at {unit}s {fallen_first} to {fallen_last}; from there to the "
            "median of its last {fallen_count} evaluations{until} it {fall}. The training loss {loss_meanwhile}.",
            8.0,
            (
                above("decline_clear", 1.0, 0.08),
                above("fall_after_best", 0.03, 0.01),
                ENOUGH,
                above("peak", 0.2, 0.03),
            ),
        ),
        Indicator(
            "divergence",
            "The validation loss was lowest at {unit} {val_min_step} ({val_min}); the median of its last "
            "{val_end_count} points{until} is {val_end}, {val_rise} more.",
            2.0,
            (
                above("val_turn", 0.10, 0.015),
                above("val_turn_significance", 3.5, 0.5),
                above("fall_after_best", 0.05, 0.015),
                above("peak", 0.12, 0.02),
                above("decline", 0.03, 0.005),
                above("decline_significance", 2.5, 0.5),
            ),
        ),
        Indicator(
            "memorized",
            "On training images mAP@50 ends at {train_end}, on validation images at {map50_end}.",
            2.0,
            (
                above("train_gap", 0.3, 0.06),
                above("decline", 0.03, 0.007),
                above("peak", 0.12, 0.02),
                ENOUGH,
            ),
        ),
        Indicator(
            "strong-divergence",
            "The ratio of validation to training loss went from {ratio_start} at the start to {ratio_end} at the end.",
            4.0,
            (above("val_turn", 0.33, 0.04), above("loss_ratio_growth", 5, 1), above("peak", 0.25, 0.03)),
        ),
        Indicator(
            "growing-loss-ratio",
            "The ratio of validation to training loss went from {ratio_start} at the start to "
            "{ratio_end} at the end.",
            1.0,
            (above("loss_ratio_growth", 4, 1), above("peak", 0.12, 0.02)),
        ),
        Indicator(
            "few-images-long",
            "There are only {scenes} distinct training images for {evaluations} evaluations.",
            8.0,
            (below("scenes", 60, 5), above("evaluations", 35, 3), above("distinct", VARIED, 0.05)),
        ),
        Indicator(
            "copies",
            "The audit found that {copied} of the images are exact copies.",
            7.0,
            (above("copied", 0.2, 0.04), ENOUGH),
        ),
    ),
)
