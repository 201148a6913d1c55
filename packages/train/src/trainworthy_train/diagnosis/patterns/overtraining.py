"""Better on the training set, worse on validation: memorization."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import ENOUGH, VARIED, Pattern, Sign, above, below

PATTERN = Pattern(
    id="overtraining",
    title="overtraining",
    look="The loss goes on falling, while mAP reaches a peak (it may be a very high one) and then declines.",
    meaning="The model gets better on the training images and worse on others: it memorizes.",
    causes=(
        "Too little variety for so long a run.",
        "A validation split that is too small to represent what the detector will meet.",
        "Duplicates and near-duplicates, which are learnt by heart.",
    ),
    advice=(
        "Stop, and keep the weights of the best evaluation.",
        "Add variety, and remove duplicates.",
        "Make the validation split larger and less like training: too small, too clean or too similar looks great.",
        "With one fixed camera it may be acceptable: what is memorized is what will be seen.",
    ),
    refuted_by="A run with another seed that does not fall after its peak, or validation on new images on which "
    "the last weights do as well as the best ones.",
    experiment="Evaluate the best and the last weights on images from another day: the difference is what "
    "was lost.",
    rules=("D003", "D002", "D001", "S002", "D005"),
    signs=(
        Sign(
            "decline",
            "Smoothed mAP {drawdown:fell} from its best, {drawdown_noise:.0f} times its noise, while the training "
            "loss, smoothed, {fall_after_best:fell another}.",
            6.0,
            (
                above("drawdown", 0.09, 0.015),
                above("drawdown_noise", 2.5, 0.5),
                above("fall_after_best", 0.03, 0.01),
                ENOUGH,
                above("peak", 0.2, 0.03),
            ),
        ),
        Sign(
            "divergence",
            "Smoothed, the validation loss {divergence:rose} from its least, and mAP {drawdown:fell} from its best.",
            2.0,
            (
                above("divergence", 0.10, 0.02),
                above("fall_after_best", 0.05, 0.015),
                above("peak", 0.12, 0.02),
                above("drawdown", 0.05, 0.015),
            ),
        ),
        Sign(
            "memorized",
            "mAP on training images is {train_gap:.2f} above that on validation images.",
            2.0,
            (
                above("train_gap", 0.3, 0.06),
                above("drawdown", 0.05, 0.015),
                above("peak", 0.12, 0.02),
                ENOUGH,
            ),
        ),
        Sign(
            "parted-for-good",
            "The smoothed validation loss {divergence:rose} from its least, and went apart from the training loss by a "
            "factor of {parting:.1f}.",
            4.0,
            (above("divergence", 0.33, 0.04), above("parting", 5, 1), above("peak", 0.25, 0.03)),
        ),
        Sign(
            "parting",
            "Validation and training loss went apart by a factor of {parting:.1f}.",
            1.0,
            (above("parting", 4, 1), above("peak", 0.12, 0.02)),
        ),
        Sign(
            "leaked",
            "The audit found scenes of training in validation: {leaked:.0%} of its images.",
            8.0,
            (above("leaked", 0.2, 0.04), ENOUGH),
        ),
        Sign(
            "few-images-long",
            "There are only {scenes:.0f} different training images for {evaluations:.0f} evaluations.",
            8.0,
            (below("scenes", 60, 5), above("evaluations", 35, 3), above("distinct", VARIED, 0.05)),
        ),
        Sign(
            "copies",
            "The audit found that {copied:.0%} of the images are exact copies.",
            7.0,
            (above("copied", 0.2, 0.04), ENOUGH),
        ),
    ),
)
