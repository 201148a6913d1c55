"""The report as one HTML file: no network, every text escaped, bounded however large the dataset is.

`cards` decides which findings have a picture, `pictures` which images it shows, and which part of each; `relations`
says how two of them are alike, `overlay` how one lies on the other; `sections` lays out the findings; `page` fills in
the template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.report import Report
from trainworthy_audit.report.html import page, pictures, sections
from trainworthy_audit.report.html.relations import relations_of
from trainworthy_audit.report.shared import spotcheck
from trainworthy_audit.report.shared.groups import groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.report import Context
    from trainworthy_audit.types import AuditResult

SIZE_LIMIT = 10_000_000  # bytes of the whole file: what can be mailed

#: Fewer and fewer findings are laid out, by these divisors, until the file is small enough.
CUTS = (1, 4, 40)


def render(audit: AuditResult, context: Context) -> Iterator[str]:
    """The whole page, below `SIZE_LIMIT`: what does not fit is counted, with a pointer to audit.json."""
    rule_groups = groups(audit)
    relations = relations_of(audit, rule_groups)
    spot = spotcheck.choose(audit)
    paths = pictures.choose(audit, rule_groups, spot, relations)
    images = pictures.images(audit, paths, context.previews)
    text = ""
    for cut in CUTS:
        laid_out = sections.sections(audit, rule_groups, images, relations, cut)
        text = page.render(audit, rule_groups, images, laid_out, spot)
        if len(text.encode("utf-8", "backslashreplace")) < SIZE_LIMIT:
            break
    yield text


REPORT = Report(render, "text/html", "index.html")
