"""Pages in a real Chromium: which tests that is for, how it is started, and what axe-core says of a page."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")

#: Chromium without a sandbox, a GPU or any traffic of its own.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")

#: The marks of every test that opens a page: `pytestmark = IN_BROWSER`.
IN_BROWSER = [pytest.mark.browser, pytest.mark.slow, needs_chromium]


@functools.cache
def _axe() -> str:
    package = pytest.importorskip("axe_playwright_python")
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, within: str = "html") -> list[tuple[str, str]]:
    """What axe-core objects to in the element `within`: (its rule, the first element that breaks it)."""
    page.evaluate(_axe())
    found = page.evaluate("where => axe.run(where, {resultTypes: ['violations']})", within)
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]
