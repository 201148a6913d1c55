"""The little Markdown of the rules' reference pages as HTML: headings, paragraphs, lists, code, emphasis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_INLINE = re.compile(r"(`+)(?P<code>.+?)\1|\*\*(?P<strong>.+?)\*\*")


def sections(docs: str) -> list[tuple[str, Markup]]:
    """(heading, its text as HTML) of each `## ` section of a reference page."""
    parts = re.split(r"^## +(.+)$", docs, flags=re.MULTILINE)[1:]
    return [(heading.strip(), _blocks(body)) for heading, body in zip(parts[::2], parts[1::2], strict=True)]


def _blocks(body: str) -> Markup:
    return Markup("").join(_block(block) for block in _split(body))


def _split(body: str) -> Iterator[str]:
    """Blocks stand between empty lines; a fenced block may hold some itself."""
    for index, part in enumerate(re.split(r"^```.*$", body, flags=re.MULTILINE)):
        if index % 2:
            yield "```" + part.strip("\n")
        else:
            yield from (block for block in re.split(r"\n\s*\n", part.strip("\n")) if block.strip())


def _block(block: str) -> Markup:
    if block.startswith("```"):
        return Markup("<pre><code>{}</code></pre>").format(block[3:])
    if all(line.startswith("    ") for line in block.splitlines()):
        return Markup("<pre><code>{}</code></pre>").format("\n".join(line[4:] for line in block.splitlines()))
    if re.match(r"\s*[-*] ", block):
        items = re.split(r"^\s*[-*] +", block, flags=re.MULTILINE)[1:]
        return Markup("<ul>{}</ul>").format(
            Markup("").join(Markup("<li>{}</li>").format(_inline(item)) for item in items)
        )
    return Markup("<p>{}</p>").format(_inline(block))


def _inline(text: str) -> Markup:
    """Escape everything, and mark `code` and **strong**."""
    done, parts = 0, []
    flat = " ".join(text.split())
    for found in _INLINE.finditer(flat):
        parts.append(escape(flat[done : found.start()]))
        if found["code"]:
            parts.append(Markup("<code>{}</code>").format(found["code"].strip()))
        else:
            parts.append(Markup("<strong>{}</strong>").format(found["strong"]))
        done = found.end()
    return Markup("").join([*parts, escape(flat[done:])])
