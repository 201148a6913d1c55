"""The model learns, and what it learns holds for other images."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import Hint, Indicator, Pattern, above, below

PATTERN = Pattern(
    id="good-training",
    order=60,
    title="good training",
    look="Steady learning, and a stable plateau at a high level.",
    severity="passed",
    meaning="The model learns, and what it learns holds for images that it was not trained on.",
    causes=(Hint("The labels are consistent, and the images are varied enough."),),
    advice=(
        Hint("Stop when mAP has reached its plateau, and keep the best weights."),
        Hint("Validate on real footage that was never used to train or to choose weights: a golden set."),
        Hint("Deploy the best weights, not the last ones."),
        Hint(
            "Use loss bands as a rough guide only: at 2.0 learning has begun, 1.0 is usable, 0.5 is well fitted."
        ),
    ),
    refuted_by="A clearly lower mAP on a golden set: then validation was too small, too clean or too similar to "
    "training.",
    experiment="Evaluate the best weights on real footage that is in neither the training nor the validation split.",
    rules=("D003", "S002"),
    indicators=(
        Indicator(
            "high-plateau",
            "The median of the last {end_count} evaluations of {metric} is {end}; its best was {best} at "
            "{unit} {best_step}.",
            3.5,
            (above("level", 0.46, 0.04), above("evaluations", 11, 0.6), below("decline_clear", 1.0, 0.08)),
        ),
        Indicator(
            "settled",
            "Over the last third of the run {metric} {late_change}.",
            1.0,
            (
                below("rising", 0.1, 0.03),
                above("level", 0.46, 0.04),
                above("evaluations", 11, 0.6),
                below("decline_clear", 1.0, 0.08),
            ),
        ),
        Indicator(
            "sound-dataset",
            "The audit found {scenes} distinct training images, {damaged} of all images damaged, and leaks "
            "into {leaked} of the validation images.",
            2.5,
            (
                above("scenes", 65, 5),
                above("level", 0.25, 0.03),
                above("evaluations", 14, 1.5),
                above("distinct", 0.8, 0.04),
                below("leaked", 0.1, 0.02),
                below("copied", 0.1, 0.02),
                below("damaged", 0.02, 0.005),
                below("broken_labels", 0.007, 0.002),
            ),
        ),
        Indicator(
            "losses-together",
            "The ratio of validation to training loss went from {ratio_start} at the start to "
            "{ratio_end} at the end.",
            0.5,
            (below("loss_ratio_growth", 2.5, 0.4), above("level", 0.3, 0.03), above("evaluations", 11, 0.6)),
        ),
    ),
)
