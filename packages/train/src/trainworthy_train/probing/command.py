"""`trainworthy probe` from dataset to probe.json; both the command line and the API call it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainworthy_audit import auditing, output, probes, suspect_list
from trainworthy_audit.api.options import load_config, open_measurer
from trainworthy_audit.source import open_source
from trainworthy_train.probing import plan as planning
from trainworthy_train.probing import session, subject
from trainworthy_train.report import probe_json
from trainworthy_train.runs.duration import parse_duration

if TYPE_CHECKING:
    from trainworthy_audit.source.remote import Url
    from trainworthy_train.types import ProbeResult


def probe(where: Path | Url, listener: session.Listener | None, given: dict[str, Any]) -> ProbeResult:
    """Audit without a report, probe, and write probe.json."""
    own = {name: given.pop(name, None) for name in ("time_budget", "image_size", "seed", "out", "suspects")}
    budget = own["time_budget"]
    budget = parse_duration(budget) if isinstance(budget, str) else budget
    settings = load_config(where, given)
    source = open_source(where, follow_links=settings.follow_links)
    folder = output.folder_for(None if own["out"] is None else Path(own["out"]), source.name, source)
    output.check_folder(folder, source)
    listed = None if own["suspects"] is None else Path(own["suspects"])
    if listed is not None:
        output.check_new(listed)
    with open_measurer(source, given) as measurer:
        audit = auditing.audit(source, settings, measurer)
    probed = subject.from_audit(audit, source)
    plan = planning.plan(probed, seed=own["seed"] or 0, image_size=_multiple(own["image_size"]))
    result = session.run(probed, plan, listener, time_budget=budget)
    output.write(folder, {probes.FILE: probe_json.render(result)})
    if listed is not None:
        output.write_new(listed, suspect_list.render(probes.read(folder / probes.FILE)))
    return result


def _multiple(size: int | None) -> int | None:
    """The next multiple of the coarsest stride."""
    return None if size is None else -(-size // 32) * 32
