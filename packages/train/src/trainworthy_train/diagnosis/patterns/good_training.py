"""The model learns, and what it learns holds for other images."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import Indicator, Pattern, above, below

PATTERN = Pattern(
    id="good-training",
    order=60,
    title="good training",
    look="Steady learning, and a stable plateau at a high level.",
    severity="passed",
    meaning="The model learns, and what it learns holds for images that it was not trained on.",
    causes=("The labels are consistent, and the images are varied enough.",),
    advice=(
        "Stop when mAP has reached its plateau, and keep the best weights.",
        "Validate on real footage that was never used to train or to choose weights: a golden set.",
        "Deploy the best weights, not the last ones.",
        "Use loss bands as a rough guide only: at 2.0 learning has begun, 1.0 is usable, 0.5 is well fitted.",
    ),
    refuted_by="A clearly lower mAP on a golden set: then validation was too small, too clean or too similar to "
    "training.",
    experiment="Evaluate the best weights on real footage that is in neither the training nor the validation split.",
    rules=("D003", "S002"),
    indicators=(
        Indicator(
            "high-plateau",
            "Smoothed mAP ends at {level:.2f}; its best was {peak:.2f}.",
            3.5,
            (above("level", 0.46, 0.04), above("evaluations", 11, 0.6), below("decline_clear", 1.0, 0.08)),
        ),
        Indicator(
            "settled",
            "In the last third of the run smoothed mAP {rising:rose|of its best}.",
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
            "The audit found {scenes:.0f} distinct training images, no damaged ones and no leak.",
            2.5,
            (
                above("scenes", 65, 5),
                above("level", 0.25, 0.03),
                above("evaluations", 14, 1.5),
                above("distinct", 0.8, 0.04),
                below("leaked", 0.1, 0.02),
                below("damaged", 0.02, 0.005),
                below("broken_labels", 0.007, 0.002),
            ),
        ),
        Indicator(
            "losses-together",
            "Validation and training loss moved together: their ratio grew by a factor of {loss_ratio_growth:.1f}.",
            0.5,
            (below("loss_ratio_growth", 2.5, 0.4), above("level", 0.3, 0.03), above("evaluations", 11, 0.6)),
        ),
    ),
)
