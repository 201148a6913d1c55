"""What `trainworthy runs` prints: a list of runs, one run, its log, and several runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.errors import RunError
from trainworthy_train.runs.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.runs import Event, Run

#: Figures of an epoch that are shown, and their titles.
FIGURES = {
    "map50": "mAP@50",
    "map": "mAP",
    "precision": "precision",
    "recall": "recall",
    "iou": "IoU",
    "map50_any_class": "mAP@50, any label",
    "map50_train": "mAP@50, training images",
    "map50_golden": "mAP@50, golden set",
    "val_loss": "validation loss",
    "loss": "training loss",
}

#: A gap of mAP@50 between validation and other images that is worth a sentence.
NOTABLE_GAP = 0.1

#: Settings that do not affect what a run reaches.
IRRELEVANT = frozenset({"workers", "devices"})


def list_runs() -> str:
    """A line per run: its state, model, epochs, best mAP and the verdict on its data."""
    rows = [("RUN", "STATE", "MODEL", "EPOCHS", "BEST mAP@50", "TEST", "DATA", "BEGUN")]
    for run in runs.list_runs():
        log = run.events()
        session = _first(log, "session")
        epochs = runs.latest(log, "epoch")
        best = runs.best_epoch(epochs)
        end = _last(log, "end")
        rows.append(
            (
                run.name,
                _state(run, end),
                str(session.get("model", "")),
                f"{epochs[-1]['epoch'] if epochs else 0}/{session.get('planned_epochs') or '?'}",
                f"{best['map50']:.3f}" if best else "-",
                _figure((end.get("test") or {}).get("map50")),
                str(session.get("certificate", {}).get("verdict", "")),
                str(session.get("time", ""))[:16].replace("T", " "),
            )
        )
    return _table(rows) if len(rows) > 1 else f"no runs in {runs.FOLDER}/\n  next: trainworthy train DATASET"


def show(run: Run) -> str:
    """A run's data, settings and results."""
    record = run.record()
    log = run.events()
    epochs, end = runs.latest(log, "epoch"), _last(log, "end")
    best = runs.best_epoch(epochs)
    data, proof = record["dataset"], record["certificate"]
    images = ", ".join(f"{part} {count:,}" for part, count in data["images"].items() if count)
    lines = [
        f"{run.name}: {_state(run, end)}",
        f"  data: {data['root']} ({images} images), {proof['verdict']}",
        f"  certificate: {proof['fingerprint']}, of {proof['created'][:10]}",
        f"  labels: {', '.join(data['classes'][:12])}{', ...' if len(data['classes']) > 12 else ''}",
        f"  settings: {format_settings(record['settings'])}",
    ]
    lines += [
        f"  waived: {one['rule']}, {one['where']}: {one['reason']} ({one['author']})"
        for one in record["waived"]
    ]
    if record["never_loaded"]:
        lines.append(f"  never loaded: {len(record['never_loaded']):,} images; run.json names them")
    seconds = f", {format_duration(epochs[-1]['seconds'])}" if epochs else ""
    lines.append(f"  epochs: {epochs[-1]['epoch'] if epochs else 0} of {_planned(log)}{seconds}")
    lines += [f"  {event['kind']}: {event['message']}" for event in log if event["event"] == "finding"]
    if best:
        lines.append(f"  best, epoch {best['epoch']}:")
        lines += [
            f"    {title:<24} {_figure(best.get(name))}" for name, title in FIGURES.items() if name in best
        ]
        lines += [
            f"    {label:<24} mAP@50 {_figure(one['map50'])}  mAP {_figure(one['map'])}"
            for label, one in best.get("labels", {}).items()
        ]
    if end.get("test"):
        lines.append(
            f"  on the test images: mAP@50 {_figure(end['test']['map50'])}, mAP {_figure(end['test']['map'])}"
        )
    return "\n".join(lines)


def log(run: Run) -> str:
    """The events of a run, one per line; of epochs that were repeated, only the last."""
    events = run.events()
    counted = {id(event) for event in runs.latest(events, "epoch")}
    lines = [text for event in events if (text := _line(event, counted=id(event) in counted))]
    if not lines:
        raise RunError(f"{run.folder} has no log")
    return "\n".join(lines)


def _line(event: Event, *, counted: bool) -> str:
    kind = event["event"]
    if kind == "session":
        began = "resumed" if event["resumed_at"] is not None else "started"
        at = f" at step {event['resumed_at']:,}" if event["resumed_at"] else ""
        return f"{event['time']}  {began}{at}: {event['model']} on {event['dataset']}, {event['hardware']['device']}"
    if kind == "epoch" and counted:
        figures = "  ".join(
            f"{name} {_figure(event.get(name))}"
            for name in ("loss", "val_loss", "map50", "map")
            if name in event
        )
        return f"epoch {event['epoch']:>4}  step {event['step']:>7,}  {figures}  {format_duration(event['seconds'])}"
    if kind == "finding":
        files = f" ({', '.join(event['files'][:4])})" if event["files"] else ""
        return f"{event['kind']}: {event['message']}{files}"
    if kind == "end":
        best = (
            f"; best mAP@50 {event['best_map50']:.3f} in epoch {event['best_epoch']}"
            if event["best_epoch"]
            else ""
        )
        return f"ended: {event['why']}{best}"
    return ""


def compare(chosen: Sequence[Run]) -> str:
    """The settings in which runs differ, and the figures of each run's best epoch, a column per run."""
    text = _table([("", *(run.name for run in chosen)), *different_settings(chosen), *best_figures(chosen)])
    if not comparable(chosen):
        text += "\nThe runs were not evaluated on the same images: their figures cannot be compared directly."
    return text


def comparable(chosen: Sequence[Run]) -> bool:
    """Whether the runs were trained on the same data, and so evaluated on the same images."""
    return len({run.record()["certificate"]["fingerprint"] for run in chosen}) == 1


def different_settings(chosen: Sequence[Run]) -> list[tuple[str, ...]]:
    """The data and settings that are not the same in all runs: a name, then a cell per run."""
    records = [run.record() for run in chosen]
    rows: list[tuple[str, ...]] = []
    if not comparable(chosen):
        data = (
            f"{record['dataset']['name']} {record['certificate']['fingerprint'][7:19]}" for record in records
        )
        rows.append(("data", *data))
    settings = [_flat(record["settings"]) for record in records]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    for key in (key for key in keys if key not in IRRELEVANT):
        values = [str(one.get(key, "-")) for one in settings]
        if len(set(values)) > 1:
            rows.append((key.replace("_", "-"), *values))
    return rows


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings within settings by both names, such as "augmentation mosaic"."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{key} {name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat


def best_figures(chosen: Sequence[Run]) -> list[tuple[str, ...]]:
    """The figures of each run's best epoch and of its test: a title, then a cell per run."""
    logs = [run.events() for run in chosen]
    bests = [runs.best_epoch(runs.latest(log, "epoch")) or {} for log in logs]
    rows = [("best epoch", *(str(best.get("epoch", "-")) for best in bests))]
    rows += [
        (title, *(_figure(best.get(name)) for best in bests))
        for name, title in FIGURES.items()
        if any(name in best for best in bests)
    ]
    labels = list(dict.fromkeys(label for best in bests for label in best.get("labels", {})))
    rows += [
        (f"mAP@50, {label}", *(_figure(best.get("labels", {}).get(label, {}).get("map50")) for best in bests))
        for label in labels
    ]
    ends = [_last(log, "end").get("test") or {} for log in logs]
    if any(ends):
        rows.append(("mAP@50, test images", *(_figure(end.get("map50")) for end in ends)))
    return rows


# ------------------------------------------------------------------------------------------------------------
# Parts


def _state(run: Run, end: Mapping[str, Any]) -> str:
    state = run.state()
    return f"finished ({end['why']})" if state == "finished" and end.get("why") != "finished" else state


def _first(log: Sequence[Event], kind: str) -> Event:
    return next((event for event in log if event["event"] == kind), {})


def _last(log: Sequence[Event], kind: str) -> Event:
    return next((event for event in reversed(log) if event["event"] == kind), {})


def _planned(log: Sequence[Event]) -> Any:  # noqa: ANN401 - a number, where it is known
    return _first(log, "session").get("planned_epochs") or "?"


def format_settings(settings: Mapping[str, Any]) -> str:
    """'model small, epochs 20': the settings that have a value, in one line."""
    plain = {
        key: value
        for key, value in settings.items()
        if value not in (None, [], ()) and not isinstance(value, dict)
    }
    return ", ".join(f"{key.replace('_', '-')} {value}" for key, value in plain.items())


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
