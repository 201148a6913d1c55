"""The gate: a dataset and its certificate -> a `CertifiedDataset`, or a refusal. Training has no other way in."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from blake3 import blake3

from trainworthy_audit import admission
from trainworthy_audit.source import fetch_image
from trainworthy_train.data import samples as sampling
from trainworthy_train.data import splitting
from trainworthy_train.errors import TrainingError
from trainworthy_train.types import CertifiedDataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_audit.source.remote import Url
    from trainworthy_audit.types import Dataset
    from trainworthy_train.types import Sample


def admit(
    dataset: Path | Url,
    *,
    certificate: Path | None = None,
    config: Path | None = None,
    labels: Sequence[str] = (),
    seed: int = 0,
    every_byte: bool = True,
    only_test: bool = False,
) -> CertifiedDataset:
    """The folder, zip or URL `dataset`, proved to be what its certificate covers, and divided into splits.

    `certificate` is a file in place of reports/NAME/certificate.json; `config` one in place of the trainworthy.toml
    in or beside the dataset; `labels` are those to train on, all where there are none; `seed` decides how images
    without a split are divided. With `every_byte` every file is compared with the certificate; without it only the
    annotations: enough beside a process that compares everything, since `read` checks each image again. With
    `only_test` all images are for "test", whatever split they are in.

    Raises `RefusedError` where the certificate does not cover what lies there, or is weaker than the configuration
    demands, `TrainingError` where there is nothing to train on, and `DatasetError`.
    """
    admitted = admission.admit(dataset, certificate=certificate, config=config, every_byte=every_byte)
    annotations, proof = admitted.dataset, admitted.certificate
    shown = shlex.quote(str(dataset))
    excluded = sampling.excluded_images(annotations, proof)
    notes = sampling.describe_exclusions(excluded)
    classes = _choose_classes(annotations, labels, shown)
    if only_test:
        splits = {path: "test" for path in annotations.images["path"] if path not in excluded}
    else:
        splits = splitting.split_images(annotations, proof, excluded, seed, notes)
    samples = sampling.build_samples(
        admitted.source, annotations, proof, splits=splits, classes=classes, notes=notes
    )
    if not samples["test" if only_test else "train"]:
        sizes = ", ".join(f"{split} has {len(members):,}" for split, members in samples.items())
        raise TrainingError(
            f"{dataset} has no image to train on\n  {sizes}; {len(excluded):,} cannot be used.",
            next_step=f"trainworthy split {shown} --out DIR --again",
        )
    return CertifiedDataset(
        root=str(dataset),
        name=admitted.source.name,
        classes=classes,
        samples=samples,
        certificate=proof,
        certificate_file=str(admitted.file),
        excluded=excluded,
        waived=tuple(proof["waivers"]),
        notes=tuple(notes),
    )


def read(sample: Sample) -> bytes:
    """The bytes of a sample's file. Raises `RefusedError` where they are not those that were certified."""
    try:
        data = fetch_image(sample.locator)
    except OSError as error:
        raise admission.changed_since(
            sample.path, f"can no longer be read: {error.strerror or error}"
        ) from error
    if blake3(data).hexdigest() != sample.digest:
        raise admission.changed_since(sample.path, "has other content than at the start")
    return data


def _choose_classes(annotations: Dataset, labels: Sequence[str], shown: str) -> tuple[str, ...]:
    """The labels to train on, in their order. Raises `TrainingError` for one that the dataset does not have."""
    present = tuple(dict.fromkeys(annotations.classes))
    unknown = [label for label in labels if label not in present]
    if unknown:
        raise TrainingError(
            f"--labels: the dataset has no {', '.join(map(repr, unknown))}\n"
            f"  It has {', '.join(map(repr, present)) or 'no label at all'}.",
            next_step=f"trainworthy train {shown} --labels {shlex.quote(','.join(present))}",
        )
    classes = tuple(dict.fromkeys(labels)) or present
    if not classes:
        raise TrainingError(
            f"{shown} has no label: there is nothing to learn", next_step=f"trainworthy audit {shown}"
        )
    return classes
