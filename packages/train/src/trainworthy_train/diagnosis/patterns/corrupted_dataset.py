"""Inconsistent or broken data disrupts training."""

from __future__ import annotations

from trainworthy_train.diagnosis.indicators import ENOUGH, Explanation, Hint, Indicator, Pattern, above, below

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
        Hint(
            "Damaged images.",
            "The audit found {damaged} of the images damaged.",
            (above("damaged", 0.01, 0.002),),
        ),
        Hint(
            "Invalid labels: boxes that are out of bounds, not finite, or without an area.",
            "The audit found them in {broken_labels} of the images.",
            (above("broken_labels", 0.01, 0.002),),
        ),
        Hint(
            "Sources or resolutions that were mixed carelessly.",
            "The audit found several.",
            (above("mixed_sources", 0.5, 0.05),),
        ),
        Hint("Images that are labelled as empty, but contain objects."),
        Hint(
            "A validation split so small that single objects decide the mAP.",
            "It has {val_images} images.",
            (below("val_images", 30, 5),),
        ),
        Hint("A learning rate that is too high."),
    ),
    advice=(
        Hint("Audit the dataset: `trainworthy audit DATASET` names each file."),
        Hint("Remove the damaged images, and correct the format of the labels."),
        Hint("Export a clean dataset again from the annotation tool."),
    ),
    refuted_by="The same spikes after training on a certified dataset: then settings are the cause, above all a "
    "learning rate that is too high or a validation split that is too small.",
    experiment="Train again at a third of the learning rate: spikes that remain come from the data.",
    if_diverged=Explanation(
        meaning="Training diverged: the loss grew steadily until it was no number.",
        causes=(
            Hint("A learning rate that is too high, or no warm-up."),
            Hint("16-bit floats without loss scaling."),
            Hint(
                "Boxes that are not finite, or without an area.",
                "The audit found wrong boxes or broken annotations in {broken_labels} of the images.",
                (above("broken_labels", 0.01, 0.002),),
            ),
        ),
        advice=(
            Hint("Train again at a tenth of the learning rate, with a warm-up and clipped gradients."),
            Hint("Where it still diverges, train with 32-bit floats."),
            Hint(
                "Then audit the dataset: `trainworthy audit DATASET` names boxes that cannot be learned from."
            ),
        ),
        refuted_by="The same growth at a tenth of the learning rate: then the labels are the cause.",
        experiment="Train again at a tenth of the learning rate, and change nothing else.",
    ),
    rules=("I002", "I001", "I004", "B001", "B002", "B003", "A001", "I008", "I009", "A003", "D004", "B005"),
    indicators=(
        Indicator(
            "collapses",
            "At {collapses} evaluations after the first sixth of the run {metric} was below 0.7 of what "
            "it was before and after.",
            4.0,
            (above("collapses", 0.10, 0.015), above("evaluations", 12, 1.5)),
        ),
        Indicator(
            "swings",
            "{swings} times {metric} fell by 0.3 of its level or more, for more than one evaluation, and "
            "came back.",
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
            "After the first sixth of the run {val_spike_count} validation losses{val_blocks} are more "
            "than 1.25 times those around them.",
            3.0,
            (above("val_spikes", 0.08, 0.015), above("evaluations", 12, 1.5), above("peak", 0.15, 0.03)),
        ),
        Indicator(
            "loss-spikes",
            "After the first sixth of the run {loss_spike_count} training losses{loss_blocks} are more "
            "than 1.25 times those around them.",
            1.5,
            (above("loss_spikes", 0.1, 0.02), above("evaluations", 12, 1.5), above("noise", 0.015, 0.003)),
        ),
        Indicator(
            "not-finite",
            "Of {loss_points} training losses {not_finite_count} are NaN or infinite.",
            12.0,
            (above("not_finite", 0.03, 0.004),),
        ),
        Indicator(
            "noisy-loss",
            "The training loss changes by {loss_step} from one point to the next (median).",
            2.0,
            (above("loss_noise", 0.10, 0.02), above("evaluations", 12, 1.5), above("noise", 0.015, 0.003)),
        ),
        Indicator(
            "training-images-not-learned",
            "{metric} ends at {end} on validation images, and on the training images themselves only at "
            "{train_end}.",
            2.0,
            (below("train_level", 0.6, 0.06), above("level", 0.1, 0.02), ENOUGH),
        ),
        Indicator(
            "damaged-images",
            "The audit found {damaged} of the images damaged, and the curves are unstable.",
            7.0,
            (above("damaged", 0.04, 0.01), _UNSTABLE, ENOUGH),
        ),
        Indicator(
            "broken-labels",
            "The audit found wrong boxes or broken annotations in {broken_labels} of the images, and the "
            "curves are unstable.",
            7.0,
            (above("broken_labels", 0.01, 0.002), _UNSTABLE, ENOUGH),
        ),
        Indicator(
            "many-broken-labels",
            "The audit found unwaived wrong boxes or broken annotations in {unwaived_broken_labels} of "
            "the images.",
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
