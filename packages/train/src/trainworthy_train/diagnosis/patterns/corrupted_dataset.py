"""Training is disrupted by inconsistent or broken data."""

from __future__ import annotations

from trainworthy_train.diagnosis.patterns.sign import ENOUGH, Pattern, Sign, above, below

#: What an audit found is common in sound datasets, too: it only adds to curves that are uneven themselves.
RESTLESS = above("unrest", 1.15, 0.06)

PATTERN = Pattern(
    id="corrupted-dataset",
    title="corrupted dataset",
    look="The loss has spikes, and mAP is erratic.",
    meaning="Something inconsistent or broken in the data disrupts training again and again.",
    causes=(
        "Damaged images.",
        "Invalid labels: boxes out of bounds, not finite, or of no size.",
        "Sources or resolutions that were mixed without care.",
        "Images that are empty, but contain objects.",
    ),
    advice=(
        "Audit the dataset: `trainworthy audit DATASET` names each file.",
        "Remove the damaged images, and correct the format of the labels.",
        "Export a clean set again from where the labels were made.",
    ),
    refuted_by="The same spikes after training on a dataset that was certified: then settings are the cause, first of "
    "all a learning rate that is too high or a validation split that is too small.",
    experiment="Train again at a third of the learning rate: spikes that stay come from the data.",
    rules=("I002", "I001", "I004", "B001", "B002", "B003", "A001", "I008", "I009", "A003", "D004", "B005"),
    signs=(
        Sign(
            "dropouts",
            "At {dropouts:.0%} of the evaluations mAP falls below 0.7 of what it is around them.",
            4.0,
            (above("dropouts", 0.10, 0.015), above("evaluations", 12, 1.5)),
        ),
        Sign(
            "spikes",
            "{val_spikes:.0%} of the validation losses are over 1.25 of those around them.",
            3.0,
            (above("val_spikes", 0.08, 0.015), above("evaluations", 12, 1.5), above("peak", 0.15, 0.03)),
        ),
        Sign(
            "loss-spikes",
            "{loss_spikes:.0%} of the training losses are over 1.25 of those around them.",
            1.5,
            (above("loss_spikes", 0.1, 0.02), above("evaluations", 12, 1.5)),
        ),
        Sign(
            "not-finite",
            "{not_finite:.0%} of the training losses are not finite numbers.",
            12.0,
            (above("not_finite", 0.02, 0.005),),
        ),
        Sign(
            "restless-loss",
            "The training loss moves by {loss_noise:.0%} from one epoch to the next.",
            2.0,
            (above("loss_noise", 0.10, 0.02), above("evaluations", 12, 1.5)),
        ),
        Sign(
            "not-learnt",
            "mAP on the training images themselves is only {train_level:.2f}, with {level:.2f} on validation images.",
            2.0,
            (below("train_level", 0.6, 0.06), above("level", 0.1, 0.02), ENOUGH),
        ),
        Sign(
            "damaged-images",
            "The audit found {damaged:.0%} of the images damaged, and the curves are restless.",
            7.0,
            (above("damaged", 0.04, 0.01), RESTLESS, ENOUGH),
        ),
        Sign(
            "broken-labels",
            "The audit found wrong boxes or broken annotations in {broken_labels:.0%} of the images, and the curves "
            "are restless.",
            7.0,
            (above("broken_labels", 0.01, 0.002), RESTLESS, ENOUGH),
        ),
        Sign(
            "many-broken-labels",
            "The audit found wrong boxes or broken annotations in {objected:.0%} of the images, and nobody has "
            "waived them.",
            7.0,
            (above("objected", 0.1, 0.015), ENOUGH, above("peak", 0.1, 0.02)),
        ),
        Sign(
            "mixed",
            "The audit found images of several sources or resolutions, and the curves are restless.",
            5.0,
            (above("mixed", 0.5, 0.05), above("unrest", 1.9, 0.12), ENOUGH),
        ),
    ),
)
