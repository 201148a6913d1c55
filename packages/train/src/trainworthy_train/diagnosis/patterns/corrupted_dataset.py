"""Inconsistent or broken data disrupts training."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, Indicator, Pattern, above, below

#: What these rules of the audit find is common in sound datasets too: it only counts where the curves are unstable.
_UNSTABLE = above("instability", 1.15, 0.06)

PATTERN = Pattern(
    id="corrupted-dataset",
    order=50,
    title="corrupted dataset",
    look="The loss has spikes, and mAP is erratic.",
    severity="error",
    meaning="Something inconsistent or broken in the data disrupts training again and again.",
    causes=(
        "Damaged images.",
        "Invalid labels: boxes that are out of bounds, not finite, or without an area.",
        "Sources or resolutions that were mixed carelessly.",
        "Images that are labelled as empty, but contain objects.",
    ),
    advice=(
        "Audit the dataset: `trainworthy audit DATASET` names each file.",
        "Remove the damaged images, and correct the format of the labels.",
        "Export a clean dataset again from the annotation tool.",
    ),
    refuted_by="The same spikes after training on a certified dataset: then settings are the cause, above all a "
    "learning rate that is too high or a validation split that is too small.",
    experiment="Train again at a third of the learning rate: spikes that remain come from the data.",
    rules=("I002", "I001", "I004", "B001", "B002", "B003", "A001", "I008", "I009", "A003", "D004", "B005"),
    indicators=(
        Indicator(
            "collapses",
            "At {collapses:.0%} of the evaluations mAP falls below 0.7 of what it is before and after them.",
            4.0,
            (above("collapses", 0.10, 0.015), above("evaluations", 12, 1.5)),
        ),
        Indicator(
            "swings",
            "{swings:.0f} times mAP fell by a third or more and came back.",
            4.0,
            (
                above("swings", 2.5, 0.4),
                above("swing_share", 0.025, 0.004),
                above("last_swing", 0.6, 0.06),
                above("evaluations", 12, 1.5),
            ),
        ),
        Indicator(
            "spikes",
            "{val_spikes:.0%} of the validation losses are more than 1.25 times those around them.",
            3.0,
            (above("val_spikes", 0.08, 0.015), above("evaluations", 12, 1.5), above("peak", 0.15, 0.03)),
        ),
        Indicator(
            "loss-spikes",
            "{loss_spikes:.0%} of the training losses are more than 1.25 times those around them.",
            1.5,
            (above("loss_spikes", 0.1, 0.02), above("evaluations", 12, 1.5), above("noise", 0.015, 0.003)),
        ),
        Indicator(
            "not-finite",
            "{not_finite:.0%} of the training losses are NaN or infinite.",
            12.0,
            (above("not_finite", 0.03, 0.004),),
        ),
        Indicator(
            "noisy-loss",
            "The training loss varies by {loss_noise:.0%} from one epoch to the next.",
            2.0,
            (above("loss_noise", 0.10, 0.02), above("evaluations", 12, 1.5), above("noise", 0.015, 0.003)),
        ),
        Indicator(
            "training-images-not-learned",
            "mAP is only {train_level:.2f} on the training images themselves, and {level:.2f} on validation images.",
            2.0,
            (below("train_level", 0.6, 0.06), above("level", 0.1, 0.02), ENOUGH),
        ),
        Indicator(
            "damaged-images",
            "The audit found {damaged:.0%} of the images damaged, and the curves are unstable.",
            7.0,
            (above("damaged", 0.04, 0.01), _UNSTABLE, ENOUGH),
        ),
        Indicator(
            "broken-labels",
            "The audit found wrong boxes or broken annotations in {broken_labels:.0%} of the images, and the curves "
            "are unstable.",
            7.0,
            (above("broken_labels", 0.01, 0.002), _UNSTABLE, ENOUGH),
        ),
        Indicator(
            "many-broken-labels",
            "The audit found unwaived wrong boxes or broken annotations in {unwaived_broken_labels:.0%} of the images.",
            7.0,
            (above("unwaived_broken_labels", 0.1, 0.015), ENOUGH, above("peak", 0.1, 0.02)),
        ),
        Indicator(
            "mixed-sources",
            "The audit found images of several sources or resolutions, and the curves are unstable.",
            5.0,
            (above("mixed_sources", 0.5, 0.05), above("instability", 1.9, 0.12), ENOUGH),
        ),
    ),
)
