"""Better on the training images, worse on validation images: the model memorizes."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, VARIED, Indicator, Pattern, above, below

PATTERN = Pattern(
    id="overtraining",
    order=30,
    title="overtraining",
    look="The loss keeps falling, while mAP reaches a peak (possibly a very high one) and then declines.",
    severity="error",
    meaning="The model gets better on the training images and worse on others: it memorizes.",
    causes=(
        "There is too little variety for such a long run.",
        "The validation split is too small to represent what the detector will see in use.",
        "There are duplicates and near-duplicates, which are memorized.",
    ),
    advice=(
        "Stop, and keep the weights of the best evaluation.",
        "Add variety, and remove duplicates.",
        "Make the validation split larger and less like training: too small, too clean or too similar looks too good.",
        "With one fixed camera it may be acceptable: what is memorized is what the detector will see.",
    ),
    refuted_by="A run with another seed that does not fall after its peak, or validation on new images on which "
    "the last weights do as well as the best ones.",
    experiment="Evaluate the best and the last weights on images from another day: the difference is what was lost.",
    rules=("D003", "D002", "D001", "S002", "D005"),
    indicators=(
        Indicator(
            "decline",
            "Smoothed mAP {decline:fell} from its best, {decline_noise:.0f} times its noise, while the smoothed "
            "training loss {fall_after_best:fell another}.",
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
            "The smoothed validation loss {val_turn:rose} from its minimum, and smoothed mAP {decline:fell} from "
            "its best.",
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
            "mAP on training images is {train_gap:.2f} above mAP on validation images.",
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
            "The smoothed validation loss {val_turn:rose} from its minimum, and the ratio of validation to training "
            "loss grew by a factor of {loss_ratio_growth:.1f}.",
            4.0,
            (above("val_turn", 0.33, 0.04), above("loss_ratio_growth", 5, 1), above("peak", 0.25, 0.03)),
        ),
        Indicator(
            "growing-loss-ratio",
            "The ratio of validation to training loss grew by a factor of {loss_ratio_growth:.1f}.",
            1.0,
            (above("loss_ratio_growth", 4, 1), above("peak", 0.12, 0.02)),
        ),
        Indicator(
            "leaked",
            "The audit found scenes of the training split among {leaked:.0%} of the validation images.",
            8.0,
            (above("leaked", 0.2, 0.04), ENOUGH),
        ),
        Indicator(
            "few-images-long",
            "There are only {scenes:.0f} distinct training images for {evaluations:.0f} evaluations.",
            8.0,
            (below("scenes", 60, 5), above("evaluations", 35, 3), above("distinct", VARIED, 0.05)),
        ),
        Indicator(
            "copies",
            "The audit found that {copied:.0%} of the images are exact copies.",
            7.0,
            (above("copied", 0.2, 0.04), ENOUGH),
        ),
    ),
)
