"""Text that others wrote, as one clean line. Needs nothing heavy: pages that must be quick use it too."""

from __future__ import annotations

import re

#: Control characters, which move a terminal's cursor, and marks that reverse the text around them.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str, limit: int = 0) -> str:
    """One line: control and direction characters spelled out, cut to `limit` characters (0: not cut)."""
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _CONTROLS.sub(lambda found: _spell(found[0]), text)


def _spell(character: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(character)
    return named.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
