"""What the program does with a dataset, a log or a training, as the record of it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from golden import normal
from golden.command import in_its_own_process, trainworthy

Record = dict[str, Any]

FORMATS = ("voc", "coco", "yolo", "darknet")

#: The longest side of resized pictures: less than that of most pictures here, and of all real ones.
MAX_SIDE = "100"

SEED = "3"


def dataset(
    place: Path,
    scratch: Path,
    cache: Path,
    *,
    reading: tuple[str, ...] = (),
    partners: tuple[Path, ...] = (),
    every_rule: bool = False,
    accepting: bool = False,
    max_side: str = MAX_SIDE,
) -> Record:
    """The audit, the certificate, and what each operation makes of a dataset.

    `reading` are options that say how it is read, `partners` what it is merged with; with `every_rule` also rules that
    found nothing are recorded. If `accepting`, all that blocks is accepted, and the dataset audited again.
    """
    bench = _Bench(place, scratch, cache, reading, every_rule=every_rule)
    record = bench.audit()
    if accepting:
        record["accepted"] = bench.accept(record["audit"])
    kind = record["audit"]["dataset"]["format"] if "dataset" in record["audit"] else ""
    record["fix"] = bench.operate("fix", place)
    record["split"] = bench.operate("split", place, "--again", "--seed", SEED)
    for target in FORMATS:
        if target != kind:
            record[f"convert to {target}"] = bench.operate("convert", place, "--to", target)
    record["resize"] = bench.operate("resize", place, "--max-side", max_side)
    if partners:
        record["merge"] = bench.operate("merge", place, *partners, reading=())
    return record


class _Bench:
    def __init__(
        self,
        place: Path,
        scratch: Path,
        cache: Path,
        reading: tuple[str, ...] = (),
        *,
        every_rule: bool = False,
    ) -> None:
        self.place, self.scratch, self.cache, self.reading = place, scratch, cache, reading
        self.every_rule = every_rule
        self.top = place.parent.parent  # what records show paths from

    def audit(self, *options: str | Path, name: str = "report") -> Record:
        """Audit, and verify the certificate where there is one."""
        report = self.scratch / name
        ended = self._run("audit", self.place, *self.reading, "--out", report, *options)
        if not (report / "audit.json").exists():
            return {"audit": self._refused(ended)}
        seen = normal.audit(report / "audit.json", self.top, every_rule=self.every_rule)
        record: Record = {"audit": {"exit": ended.code} | seen}
        proof = report / "certificate.json"
        if proof.exists():
            verified = self._run("verify", self.place, "--certificate", proof)
            record["certificate"] = normal.certificate(proof, self.top) | {"verify exits": verified.code}
        return record

    def accept(self, audit: Record) -> Record:
        """Waive every rule that blocks, and audit again."""
        file = self.scratch / "waivers.toml"
        blocking = [code for code, told in audit["rules"]["failed"].items() if told.endswith("error")]
        promise = ("--reason", "known", "--author", "Ada", "--expires", "2126-01-31", "--waivers", file)
        for code in blocking:
            ended = self._run("waive", self.place, *self.reading, "--rule", code, *promise)
            assert ended.code == 0, ended.err
        again = self.audit("--waivers", file, name="accepted")
        kept = {key: again["audit"][key] for key in ("exit", "verdict", "rules")}
        waivers = tomllib.loads(file.read_text("utf-8"))
        return {
            "waivers": json.loads(json.dumps(waivers, default=str)),
            "audit": kept,
            "certificate": again.get("certificate"),
        }

    def operate(self, command: str, *words: str | Path, reading: tuple[str, ...] | None = None) -> Record:
        """Have a new dataset written: what is said of it, and what lies there."""
        out = self.scratch / "out" / command
        given = self.reading if reading is None else reading
        ended = self._run(command, *words, *given, "--out", out)
        try:
            if ended.code:
                return self._refused(ended)
            record = normal.changes(out / "changes.json", self.scratch)
            record["files"] = normal.tree(out, leave_out=("changes.json",))
            aside = out.with_name(f"{out.name}.quarantine")
            if aside.exists():
                record["quarantine"] = normal.tree(aside, leave_out=("quarantine.json",))
                record["set aside"] = normal.rounded(
                    json.loads((aside / "quarantine.json").read_bytes())["set_aside"]
                )
            return normal.placeless(record, self.top)
        finally:
            shutil.rmtree(self.scratch / "out", ignore_errors=True)

    def _run(self, command: str, *words: str | Path) -> Any:
        workers = () if command == "verify" else ("--workers", "1")
        return trainworthy(command, *words, *workers, cache=self.cache)

    def _refused(self, ended: Any) -> Record:
        told = normal.placeless(normal.placeless(ended.error, self.scratch), self.top)
        return {"exit": ended.code, "error": told}


def bulk(places: list[Path], scratch: Path, cache: Path) -> Record:
    """Many datasets merged into one, and this one audited: each format's reader, and every rule, in two commands."""
    merged = scratch / "merged"
    words = ("merge", *places, "--to", "coco", "--out", merged, "--workers", "1")
    ended = trainworthy(*words, cache=cache)
    assert ended.code == 0, ended.err
    record: Record = {"merge": normal.changes(merged / "changes.json", places[0].parent.parent)}
    record["merge"]["files"] = normal.tree(merged, leave_out=("changes.json",))
    return record | _Bench(merged, scratch, cache).audit()


def demo(scratch: Path) -> Record:
    """`trainworthy demo`: a dataset for each rule, each audited for that rule."""
    ended = trainworthy("demo", "--out", scratch / "demo", "--workers", "1")
    audit = normal.audit(scratch / "demo" / "audit.json", scratch)
    return {"exit": ended.code, "files": normal.tree(scratch / "demo" / "dataset"), "audit": audit}


def catalogue(place: Path) -> Record:
    """What rules and settings there are, with their defaults; without the text that explains them."""
    rules = json.loads(trainworthy("rule", "--json").out)
    for rule in rules:
        rule["options"] = {option["name"]: option["default"] for option in rule["options"]}
        rule["why"] = rule.pop("summary")
    shown = trainworthy("audit", place, "--show-settings").out
    return {
        "rules": {rule.pop("code"): rule for rule in rules},
        "settings": [line.partition("  # ")[0].rstrip() for line in shown.splitlines()],
    }


def diagnosis(log: Path, scratch: Path) -> Record:
    """What `trainworthy diagnose` says of each run in a log, or why it refuses it."""
    ended = trainworthy("diagnose", log, "--json", "--out", scratch / "page")
    if ended.code:
        return {"exit": ended.code, "error": normal.placeless(ended.error, log.parent)}
    return {"exit": 0, "runs": normal.placeless(normal.diagnoses(ended.out), log.parent)}


#: The small model sees pictures as they are for two epochs, and augmented in the third. Nine steps, at a rate at
#: which what differs in the last digit hardly grows from one to the next: see `compare.TRAINED`.
TRAINING = (
    "--epochs", "3", "--image-size", "96", "--batch-size", "8", "--lr", "0.003", "--seed", SEED, "--workers", "0",
    "--devices", "1", "--precision", "32-true", "--stop", "never",
)  # fmt: skip


def training(place: Path, scratch: Path, weights: str) -> Record:
    """The log and the record of a short run."""
    report, run = scratch / "report", scratch / "run"
    told = in_its_own_process("audit", place, "--no-cache", "--workers", "1", "--out", report, folder=scratch)
    assert told.code == 0, told.err
    proof = ("--certificate", report / "certificate.json")
    told = in_its_own_process(
        "train", place, *proof, "--weights", weights, "--out", run, *TRAINING, folder=scratch
    )
    assert told.code == 0, told.err
    record = normal.placeless(
        {"record": normal.run(run / "run.json"), "log": normal.log(run / "log.jsonl")}, scratch
    )
    names = [path.name for path in run.iterdir()]
    return record | {"leaves": sorted(name.partition(".tfevents")[0] for name in names)}


def resumed(folder: Path) -> Record:
    """A run that an earlier version was interrupted in, resumed: what is logged from there on."""
    run = folder / "runs/data/v2"
    before = len(normal.log(run / "log.jsonl"))
    # Rules that block came since: the dataset is audited by them, too, before it may be trained on again.
    proof = ("--certificate", "reports/data/certificate.json")
    for words in (("audit", "data", "--workers", "1"), ("train", "data", "--resume", *proof)):
        told = in_its_own_process(*words, folder=folder)
        assert told.code == 0, told.err
    return {"log": normal.log(run / "log.jsonl")[before:]}
