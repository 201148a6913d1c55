"""What differs between a record and what is seen now, in lines that a person can read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from golden import records

#: Lines that are shown of a difference, and characters of a line.
LINES, LENGTH = 24, 220


@dataclass(frozen=True)
class Tolerance:
    """How far numbers may be apart and still be the same."""

    relative: float
    absolute: dict[str, float] = field(default_factory=dict)  # by the last key that leads to a number

    def fits(self, key: str, old: float, new: float) -> bool:
        """Whether both numbers count as the same."""
        return math.isclose(old, new, rel_tol=self.relative, abs_tol=self.absolute.get(key, 0.0))


#: Records hold six digits: a number that lies between two of these may become the one or the other.
ROUNDED = Tolerance(1.1e-5)

#: What is trained differs from one processor to the next, which add up in another order. Without AVX2 (oneDNN held to
#: SSE4.1, torch to its plain kernels) the parts of the loss of the twelve recorded steps are up to 4e-5 apart from
#: those with it, and all scores are the same. Another seed moves them by 1e-2 and more. Scores are counts of
#: detections over or under a threshold: where one changes sides they jump, so they get room for that.
TRAINED = Tolerance(
    1e-3,
    dict.fromkeys(
        ("map50", "map", "precision", "recall", "iou", "map50_any_class", "map50_train", "best_map50"), 0.05
    ),
)

#: By what one finds a row again that has changed: where it is, not what was measured there.
PLACE = ("image", "annotation", "line", "box", "label", "split", "path", "to", "event", "step", "epoch")


@dataclass(frozen=True)
class Difference:
    """One difference, in words."""

    text: str
    wording: bool = False  # only sentences for people differ


def differences(old: Any, new: Any, tolerance: Tolerance = ROUNDED) -> list[Difference]:
    """What differs, facts before wording; `old` as it is stored, `new` as it was seen. [] for nothing."""
    return sorted(_differ(old, new, (), tolerance), key=lambda difference: difference.wording)


def shown(found: list[Difference]) -> str:
    """The first of these differences, each cut to a length, and how many more there are."""
    lines = [f"  {'(wording) ' if one.wording else ''}{one.text}" for one in found[:LINES]]
    more = [one.wording for one in found[LINES:]]
    if more:
        lines.append(f"  and {len(more):,} more differences, {sum(more):,} of them in wording only")
    return "".join(f"{line if len(line) <= LENGTH else line[:LENGTH] + '...'}\n" for line in lines)


def _differ(old: Any, new: Any, at: tuple[str, ...], tolerance: Tolerance) -> Iterator[Difference]:
    here = " / ".join(at)
    wording = bool(records.WORDING.intersection(at))
    if isinstance(old, dict) and "marks" in old and isinstance(new, list):
        yield from _marked(old, new, here)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if key in old and key in new:
                yield from _differ(old[key], new[key], (*at, key), tolerance)
            else:
                verb, value = ("came", new[key]) if key in new else ("went", old[key])
                yield Difference(f"{' / '.join((*at, key))}: {verb}: {_brief(value)}", key in records.WORDING)
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(row, dict) for row in old + new):
        yield from _listed(old, new, at, tolerance)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new) or not all(map(partial(_same, tolerance, at[-1]), old, new)):
            yield from (Difference(f"{here}: {line}", wording) for line in _of_lists(old, new))
    elif not _same(tolerance, at[-1] if at else "", old, new):
        yield Difference(f"{here}: {_brief(old)} -> {_brief(new)}", wording)


def _of_lists(old: list[Any], new: list[Any]) -> Iterator[str]:
    """What differs between two lists of plain values that do: of numbers both, of texts what went and came."""
    if not all(isinstance(value, str) for value in old + new):
        yield f"{old} -> {new}"
        return
    went, came = Counter(old) - Counter(new), Counter(new) - Counter(old)
    yield from (f"went: {text}" for text in went.elements())
    yield from (f"came: {text}" for text in came.elements())
    if not went and not came:
        yield "the same in another order"


def _same(tolerance: Tolerance, key: str, old: Any, new: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return tolerance.fits(key, old, new) if numbers else type(old) is type(new) and bool(old == new)


def _marked(old: dict[str, Any], new: list[Any], here: str) -> Iterator[Difference]:
    """A long list, of which most rows are known by their marks only."""
    now = records.digests(new)
    if old["facts"] == now["facts"]:
        if old["wording"] != now["wording"]:
            yield Difference(f"{here}: the same rows in other words, such as {_brief(new[0])}", wording=True)
        return
    recorded, seen = Counter(old["marks"].split()), Counter(map(records.mark, new))
    came, went = seen - recorded, recorded - seen
    if old["rows"] != len(new):
        yield Difference(f"{here}: {old['rows']:,} rows, now {len(new):,}")
    if not (came or went):
        yield Difference(f"{here}: the same rows in another order, or a digit of one")
    for row in old["first"]:
        if went.get(records.mark(row)):
            yield Difference(f"{here}: went: {_brief(row)}")
    if went:
        yield Difference(f"{here}: {went.total():,} recorded rows went or changed")
    for row in new:
        if came[records.mark(row)] > 0:
            came[records.mark(row)] -= 1
            yield Difference(f"{here}: came, or is what one changed to: {_brief(row)}")


def _listed(
    old: list[Any], new: list[Any], at: tuple[str, ...], tolerance: Tolerance
) -> Iterator[Difference]:
    """Two lists of rows: what went, came or changed, by the rows' places; then whether the order did."""
    here = " / ".join(at)
    before, after = _by_place(old), _by_place(new)
    for place in dict.fromkeys([*before, *after]):
        if place not in after:
            yield Difference(f"{here}: went: {_brief(before[place])}")
        elif place not in before:
            yield Difference(f"{here}: came: {_brief(after[place])}")
        else:
            yield from _differ(before[place], after[place], (*at, _named(place)), tolerance)
    if before.keys() == after.keys() and list(before) != list(after):
        yield Difference(f"{here}: the same rows in another order")


def _by_place(rows: list[Any]) -> dict[tuple[Any, ...], Any]:
    """The rows by their places; of one place several are told apart by their number."""
    found: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        place = tuple((key, row[key]) for key in PLACE if key in row) if isinstance(row, dict) else ()
        found[place, sum(known[0] == place for known in found)] = row
    return found


def _named(place: tuple[Any, ...]) -> str:
    fields, before = place
    told = " ".join(str(value) if key in {"image", "path"} else f"{key} {value}" for key, value in fields)
    return (told or "row") + (f" no. {before + 1}" if before else "")


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "message" in value:
        where = [
            f"{key} {value[key]}" for key in ("image", "annotation", "line", "box", "label") if key in value
        ]
        return ": ".join(filter(None, [" ".join(where), value["message"]]))
    return value if isinstance(value, str) else str(value)
