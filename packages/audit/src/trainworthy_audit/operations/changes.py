"""What an operation did, row by row: for people as text, for scripts as changes.json."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = "trainworthy.changes/1"


@dataclass
class Changes:
    """Collects what an operation did.

    Each of the `rows` has the keys of `add`; what does not apply is None.
    """

    command: str  # "fix", "merge", ...
    sources: tuple[str, ...] = ()
    out: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # what could not be taken along, a sentence each
    notes: list[str] = field(default_factory=list)  # what else is worth knowing, a sentence each
    next_step: str = ""  # the command to run next, where it is not an audit of the new dataset
    numbers: dict[str, int] = field(default_factory=dict)  # of the new dataset: "images", "boxes", ...

    def add(
        self,
        action: str,
        *,
        rule: str | None = None,
        path: str | None = None,
        to: str | None = None,
        box: int | None = None,
        before: Any = None,  # noqa: ANN401 - whatever changed: text, a number, edges
        after: Any = None,  # noqa: ANN401
        why: str | None = None,
    ) -> None:
        """Note one change: what was done (`action`), where, and why.

        `path` is in the source, `to` in the new dataset, `box` the 0-based index in its annotation.
        """
        self.rows.append(
            {
                "action": action, "rule": rule, "path": path, "to": to, "box": box,
                "before": before, "after": after, "why": why,
            }
        )  # fmt: skip

    def lose(self, sentences: Iterable[str]) -> None:
        """Note what could not be taken along, each sentence once."""
        self.lost += [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.lost]

    @property
    def nothing_to_train_on(self) -> bool:
        """Whether the new dataset holds no image, or no box."""
        return not self.numbers.get("images", 1) or not self.numbers.get("boxes", 1)

    def counts(self) -> dict[str, int]:
        """{"clipped (B001)": 3, ...}: how many rows there are of each action and rule, in their order."""
        return dict(
            Counter(f"{row['action']} ({row['rule']})" if row["rule"] else row["action"] for row in self.rows)
        )

    def to_json(self) -> bytes:
        """The content of changes.json."""
        whole = {
            "schema": SCHEMA,
            "command": self.command,
            "sources": list(self.sources),
            "out": self.out,
            "summary": self.numbers | self.counts(),
            "lost": self.lost,
            "notes": self.notes,
            "changes": self.rows,
        }
        pretty = msgspec.json.format(msgspec.json.encode(whole), indent=1)
        return pretty + b"\n"

    def text(self) -> str:
        """The summary for a terminal: how often each action was taken, what was lost, and the notes."""
        lines = [f"{count:>9,}  {action}" for action, count in self.counts().items()]
        lines += ["Not taken along:", *(f"  {sentence}" for sentence in self.lost)] if self.lost else []
        lines += self.notes
        return "".join(f"{line}\n" for line in lines)

    def diff(self) -> str:
        """Every change, grouped by file: '- before' and '+ after'."""
        by_path: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            by_path.setdefault(row["path"] or "the dataset", []).append(row)
        lines: list[str] = []
        for path, rows in by_path.items():
            lines.append(path)
            for row in rows:
                lines += _diff_lines(row)
        return "".join(f"{line}\n" for line in lines)


def _diff_lines(row: dict[str, Any]) -> list[str]:
    change = " ".join(
        str(part)
        for part in (
            row["rule"],
            row["action"],
            f"box {row['box']}" if row["box"] is not None else None,
            f"-> {row['to']}" if row["to"] else None,
        )
        if part is not None
    )
    lines = [f"  {change}{': ' + row['why'] if row['why'] else ''}"]
    for sign, value in (("-", row["before"]), ("+", row["after"])):
        if value is not None:
            lines.append(f"    {sign} {_format(value)}")
    return lines


def _format(value: Any) -> str:  # noqa: ANN401 - as in `add`
    with contextlib.suppress(TypeError):
        if not isinstance(value, str):
            return " ".join(f"{part:.6g}" if isinstance(part, float) else str(part) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
