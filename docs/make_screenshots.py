"""Make the pictures of the report that the documents show.

    uv run trainworthy demo && uv run python docs/make_screenshots.py

Needs Chromium at /usr/bin/chromium (Debian's package), or its path in CHROMIUM.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "reports" / "demo" / "index.html"
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

#: File: (width, height, colour scheme, what is scrolled to the top).
SHOTS = {
    "report.png": (1200, 900, "light", None),
    "findings.png": (1200, 900, "light", "#rule-B001"),
    "report-dark.png": (1200, 900, "dark", None),
    "report-narrow.png": (400, 860, "light", None),
}


def main() -> None:
    """Open the demo's report once for each picture, and save it."""
    (HERE / "images").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=QUIET
        )
        for name, (width, height, scheme, anchor) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(REPORT.as_uri())
            if anchor:
                page.locator(anchor).evaluate("place => place.scrollIntoView({behavior: 'instant'})")
                page.wait_for_timeout(500)
            page.screenshot(path=HERE / "images" / name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
