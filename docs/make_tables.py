"""Write the tables of log formats and patterns into the documentation: python docs/make_tables.py.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`; everything around it is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainworthy_train.report import reference

DOCS = Path(__file__).parent
TABLES = {"log formats": reference.log_formats, "patterns": reference.pattern_list}


def filled(text: str) -> str:
    """The page with its tables as they are to be."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{TABLES[match[2]]()}\n<!-- end of table -->"

    return re.sub(r"(<!-- table: (.+?) -->).*?<!-- end of table -->", table, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in sorted(DOCS.glob("*.md")):
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
