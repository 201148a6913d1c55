"""`trainworthy fix`: a repaired copy of a dataset; what cannot be repaired is set aside or named."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import auditing, formats, suspect_list
from trainworthy_audit.operations import faults, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import collect, keep
from trainworthy_audit.operations.fix import accepted, quarantine, readings, repairs, report
from trainworthy_audit.operations.fix.repair import Stage
from trainworthy_audit.operations.fix.state import RepairState
from trainworthy_audit.operations.sink import FolderSink, check, open_sink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.fix.repair import Repair
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence


def run(
    source: Source,
    config: Config,
    measurer: Measurer,
    *,
    out: Path,
    zipped: bool = False,
    unsafe: bool = False,
    reading: str | None = None,
    suspects: Path | None = None,
    dry_run: bool = False,
) -> Changes:
    """Write a repaired copy of the dataset to `out`, and what was set aside to the quarantine beside it.

    The rules that `config` selects are answered, with its thresholds. Boxes whose frame of reference is in doubt are
    changed only by the `reading` that is named, or with `unsafe`: see `readings`. What people accepted in the list
    `suspects` of a probe of this content is applied last. With `dry_run` nothing is written.
    Raises `DatasetError` where the dataset cannot be read, or where a person has to choose first, and `OutputError`.
    """
    place = quarantine.folder_for(out)
    if not dry_run:
        check(out, [source], zipped=zipped)
        check(place, [source])
    dataset = formats.read(source, config.format, config.annotations, config.images)
    before = auditing.gather(source, dataset, config, measurer)
    changes = Changes("fix", sources=(str(source.path),), out=str(out))
    reviewed = [] if suspects is None else suspect_list.read(suspects, _fingerprint(source, before))
    state = RepairState(before, config, changes, measurer.thumbnails)
    faults.require_decisions(before, config, but={"C007"} if unsafe else ())
    repairs_in_order = plan(state.selected, unsafe=unsafe)
    apply((repair for repair in repairs_in_order if repair.stage == Stage.ROWS), state)
    readings.settle(state, reading=reading, unsafe=unsafe)
    apply((repair for repair in repairs_in_order if repair.stage != Stage.ROWS), state)
    if suspects is not None:
        accepted.apply(state, reviewed, suspects)
    # What is not selected is not repaired; written anew, it would be gone all the same.
    for image, (code, why) in faults.unfit(state.evidence, config).items():
        state.quarantine_images(code, [(image, why)])
    faults.note_settled(state.evidence, config, changes, state.removed, but=state.selected - {"A005"})
    report.note_results(state, before)
    set_aside = quarantine.collect(state, before)
    collection = _collected(state, source)
    if set_aside and not dry_run:
        changes.notes.append(f"What was set aside lies in {place}, under the paths that it had.")
    if len(state.readings_that_fit) == 1:
        (fitting,) = state.readings_that_fit
        changes.next_step = _with_reading(source, out, fitting)
    if not dry_run:
        _write(source, collection, changes, set_aside, out=out, zipped=zipped)
    return changes


def plan(selected: Iterable[str], *, unsafe: bool = False) -> list[Repair]:
    """The repairs that answer these rules, in the order in which they are applied; unsafe ones only with `unsafe`."""
    codes = set(selected)
    return [
        repair
        for repair in repairs.catalogue()
        if (repair.rule in codes or repair.always) and (repair.safe or unsafe)
    ]


def apply(plan: Iterable[Repair], state: RepairState) -> None:
    """Apply repairs to a state, one after the other."""
    for repair in plan:
        repair.apply(state)


def _fingerprint(source: Source, evidence: Evidence) -> str:
    return auditing.fingerprint(auditing.content_digests(source, evidence, source.digests))


def _collected(state: RepairState, source: Source) -> Collection:
    """What goes into the new dataset."""
    whole = collect(state.evidence, source)
    columns: dict[str, dict[int, Any]] = {"name": state.file_names}
    declared = _declared_sizes(state)
    for index, side in enumerate(("width", "height")):
        columns[side] = {image: size[index] for image, size in declared.items()}
        drawn_on = {image: placement.before[index] for image, placement in state.placements.items()}
        columns[f"from_{side}"] = columns[side] | drawn_on
    columns["orientation"] = {image: placement.orientation for image, placement in state.placements.items()}
    images = whole.images.with_columns(
        pl.col("image")
        .replace_strict(new, default=pl.col(name), return_dtype=whole.images.schema[name])
        .alias(name)
        for name, new in columns.items()
        if new
    )
    kept = keep(dataclasses.replace(whole, images=images), images.filter(state.kept)["image"])
    used = set(kept.images["split"])
    return dataclasses.replace(kept, splits=tuple(name for name in kept.splits if name in used))


def _with_reading(source: Source, out: Path, reading: str) -> str:
    """The command that reads the boxes in doubt so, into a new place."""
    number, place = 1, out.with_name(f"{out.stem}-{reading}{out.suffix}")
    while place.exists() or quarantine.folder_for(place).exists():
        number += 1
        place = out.with_name(f"{out.stem}-{reading}-{number}{out.suffix}")
    return shlex.join(["trainworthy", "fix", str(source.path), "--reading", reading, "--out", str(place)])


def _declared_sizes(state: RepairState) -> dict[int, tuple[int, int]]:
    """The sizes of images that stay as declared, though the pixels say otherwise (I004)."""
    sizes: dict[int, tuple[int, int]] = {}
    declared = state.evidence.images.select("declared_width", "declared_height")
    for image, _ in state.image_findings("I004", always=True):
        width, height = declared.row(image)
        known = all(side is not None and 1 <= side < 2**31 for side in (width, height))
        if image not in state.resized and known:
            sizes[image] = (round(width), round(height))
    return sizes


def _write(
    source: Source,
    collection: Collection,
    changes: Changes,
    set_aside: list[dict[str, Any]],
    *,
    out: Path,
    zipped: bool,
) -> None:
    """Write both the dataset and the quarantine, or neither."""
    place = quarantine.folder_for(out)
    written = False
    try:
        with open_sink(out, [source], zipped=zipped) as sink:
            writing.write(collection, collection.datasets[0].format, sink, changes)
            if set_aside:
                with FolderSink(place, [source]) as beside:
                    quarantine.write(source, set_aside, beside)
                written = True
    except BaseException:
        if written:
            shutil.rmtree(place, ignore_errors=True)
        raise
