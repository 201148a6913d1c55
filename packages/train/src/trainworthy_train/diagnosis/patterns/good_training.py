"""Healthy learning and generalization."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import Pattern, Sign, above, below

PATTERN = Pattern(
    id="good-training",
    title="good training",
    look="Steady learning, and a stable plateau at a high level.",
    meaning="The model learns, and what it learns holds for images that it was not trained on.",
    causes=("The labels are consistent, and the images varied enough.",),
    advice=(
        "Stop when mAP has reached its plateau, and keep the best weights.",
        "Validate on real footage that was never used for training or choosing: a golden set.",
        "Deploy the best weights, not the last ones.",
        "Take loss bands for intuition, not for a verdict: 2.0 has begun to learn, 1.0 is usable, 0.5 is well fitted.",
    ),
    refuted_by="A clearly lower mAP on a golden set: then validation was too small, too clean or too like training.",
    experiment="Evaluate the best weights on real footage that neither training nor validation has seen.",
    rules=("D003", "S002"),
    signs=(
        Sign(
            "high-plateau",
            "Smoothed mAP ends at {level:.2f}; its best was {peak:.2f}.",
            3.5,
            (above("level", 0.46, 0.04), above("evaluations", 11, 0.6), below("drawdown", 0.1, 0.015)),
        ),
        Sign(
            "settled",
            "In the last third of the run smoothed mAP {rising:rose|of its best}.",
            1.0,
            (below("rising", 0.1, 0.03), above("level", 0.46, 0.04), above("evaluations", 11, 0.6)),
        ),
        Sign(
            "sound-dataset",
            "The audit found {scenes:.0f} different training images, nothing damaged and no leak.",
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
        Sign(
            "together",
            "Validation loss moved with the training loss: they went apart by a factor of {parting:.1f}.",
            0.5,
            (below("parting", 2.5, 0.4), above("level", 0.3, 0.03), above("evaluations", 11, 0.6)),
        ),
    ),
)
