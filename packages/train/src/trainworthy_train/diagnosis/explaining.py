"""What follows from a verdict: its explanation, with the causes that fit what was seen, and the advice that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.figures import state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.indicators import Explanation, Hint, Indicator, Pattern
    from trainworthy_train.types import Curves, Stop

#: A cause or an advice is refuted below the one, and fits from the other on.
REFUTED, FITS = 0.2, 0.5

#: A loss that grew to this many times its least before it was no number, at each of its last steps, diverged.
DIVERGED = 1.5


def explanation(
    pattern: Pattern, indicators: Sequence[Indicator], features: Features, stop: Stop
) -> Explanation:
    """The explanation to give: one of the pattern's own, by what was seen."""
    if pattern.if_diverged and features["blow_up"] >= DIVERGED and features["blow_up_steps"] == 1:
        return pattern.if_diverged
    own = [one for one in indicators if one in pattern.indicators]
    too_short = any(one.too_short for one in own) and not stop.should
    other_reason = any(not one.too_short for one in own)
    return pattern.if_long_enough if pattern.if_long_enough and other_reason and not too_short else pattern


def causes(hints: Iterable[Hint], curves: Curves, features: Features) -> tuple[str, ...]:
    """The causes that are not refuted: those that fit first, each with why, then those of which nothing is known."""
    known = [(hint, hint.fits(features)) for hint in hints]
    kept = [(hint, fit) for hint, fit in known if fit is None or fit >= REFUTED]
    ordered = sorted(kept, key=lambda pair: -(pair[1] if pair[1] is not None else REFUTED))
    return tuple(_said(hint, fit, curves, features) for hint, fit in ordered)


def advice(hints: Iterable[Hint], curves: Curves, features: Features) -> tuple[str, ...]:
    """The advice that is not refuted, in its own order."""
    known = [(hint, hint.fits(features)) for hint in hints]
    return tuple(_said(hint, None, curves, features) for hint, fit in known if fit is None or fit >= REFUTED)


def _said(hint: Hint, fit: float | None, curves: Curves, features: Features) -> str:
    text = state(hint.text, curves, features)
    why = state(hint.why, curves, features) if hint.why and fit is not None and fit >= FITS else None
    return " ".join(one.text for one in (text, why) if one)
