"""The six patterns of the documentation, one file each; none needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.patterns import (
    corrupted_dataset,
    good_training,
    insufficient_data,
    low_variance,
    not_learning,
    overtraining,
)

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.patterns.sign import Pattern

#: In the order of `types.PATTERNS`.
ALL: tuple[Pattern, ...] = tuple(
    module.PATTERN
    for module in (
        insufficient_data,
        low_variance,
        overtraining,
        not_learning,
        corrupted_dataset,
        good_training,
    )
)
