from __future__ import annotations

from pathlib import Path

import pytest

from support.helpers import DATASETS


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real datasets; tests that use it are skipped where it is not there."""
    if not DATASETS.is_dir():
        pytest.skip("the real datasets are not beside this checkout")
    return DATASETS
