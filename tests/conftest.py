from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from support.browser import CHROMIUM, OPTIONS
from support.helpers import DATASETS, LOGS, NO_REAL_DATA

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How long an example takes says more about the machine, which may be busy, than about the code.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real datasets; tests that use it are skipped where it is not there."""
    if not DATASETS.is_dir():
        pytest.skip(NO_REAL_DATA)
    return DATASETS


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """The folder of real training logs; tests that use it are skipped where it is not there."""
    if not LOGS.is_dir():
        pytest.skip(NO_REAL_DATA)
    return LOGS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests were skipped because there is no real data."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if NO_REAL_DATA in str(one.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests on real data were skipped: {NO_REAL_DATA}", yellow=True
        )


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and a cache of its own; git does not know who works here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return tmp_path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium for the tests of one module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        yield browser
        browser.close()
