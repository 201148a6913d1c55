"""A leak between training and validation: the mAP of such a run cannot be trusted, whatever its curve looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.types import Distrust

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.audit_facts import AuditFacts
    from trainworthy_train.types import Curves

RULE = "D003"

#: The share of the validation images that has to be leaked: a copy in a thousand images moves no mAP.
LEAKED = 0.05


def distrust(curves: Curves, facts: AuditFacts) -> Distrust | None:
    """Why the mAP of a run cannot be trusted, by the audit of its dataset; None where nothing speaks against it."""
    share = facts.values.get("leaked", np.nan)
    cited = facts.cited.get(RULE)
    if not share >= LEAKED:
        return None
    waived = f", {cited.waived} of them waived" if cited and cited.waived else ""
    findings = f" in {cited.findings} finding{'s' if cited.findings != 1 else ''}{waived}" if cited else ""
    why = (
        f"The audit found scenes that are in the training split and in another one ({RULE}{findings}): as many as "
        f"{share:.0%} of the validation images. What was learnt by heart is found again there."
    )
    report = Path(facts.file).parent / "index.html" if facts.file else None
    link = f"{report}#rule-{RULE}" if report is not None and report.is_file() else ""
    return Distrust(
        "This mAP cannot be trusted",
        why,
        _compared(curves),
        f"{facts.file or 'audit.json'}",
        link,
        "trainworthy split DATASET --again --out FOLDER",
    )


def _compared(curves: Curves) -> tuple[str, ...]:
    """What validation says beside what images that training cannot have seen say."""
    lines = []
    for name, title in (("map50_golden", "the golden set"),):
        pair = [curves.series.get(one) for one in ("map50", name)]
        if pair[0] is not None and pair[1] is not None and np.isfinite(pair[1].value).any():
            known = np.isfinite(pair[1].value)
            step, other = float(pair[1].step[known][-1]), float(pair[1].value[known][-1])
            at = np.flatnonzero(pair[0].step == step)
            if len(at):
                own = float(pair[0].value[at[0]])
                lines.append(
                    f"At {curves.unit} {step:g} mAP@50 is {own:.3f} on validation and {other:.3f} on {title}."
                )
    test = curves.facts.get("test_map50")
    if isinstance(test, float):
        lines.append(f"On the test split mAP@50 is {test:.3f}.")
    return tuple(lines) or (
        "There is no figure of images that training cannot have seen: name a golden set with --golden.",
    )
