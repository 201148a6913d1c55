"""A run's page, and the page of several runs beside one another."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from support import told_runs
from support.browser import IN_BROWSER, violations
from support.command import run
from trainworthy_audit.errors import OutputError
from trainworthy_train import runs
from trainworthy_train.inference import side_by_side
from trainworthy_train.report import comparison, probes, run_page

HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def words(page: str) -> str:
    """What a page says, without tags, style and runs of blanks."""

    class Said(HTMLParser):
        said = ""
        hidden = False

        def handle_starttag(self, tag: str, _: Any) -> None:
            self.hidden = tag == "style"
            self.said += "" if tag == "bdi" else " "

        def handle_data(self, data: str) -> None:
            self.said += "" if self.hidden else data

    parser = Said()
    parser.feed(page)
    return re.sub(r"\s+", " ", parser.said).replace(" , ", ", ")


def drawn(run: runs.Run) -> str:
    return run_page.write(run.folder).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------
# A run


def test_page_says_what_went_in_and_what_came_of_it(tmp_path: Path) -> None:
    """Dataset, certificate, waivers with reason and author, settings, versions, hardware, figures and test result."""
    said = words(drawn(told_runs.tell(tmp_path / "runs/cells/v2")))
    for part in (
        "cells:v2",
        "small on cells · finished: all planned epochs are done; epoch 24 of 24, 1:36",
        "Good training (",
        "approved with waivers, blake3:cb12, of 2026-11-21",
        "B001, a.xml: cut by the camera (ada)",
        "1 image; run.json names them",
        "model small, weights imagenet, epochs 24, lr 0.002",
        "torch 2.15.0",
        "device cpu, threads 2",
        "mAP@50, test images 0.800",
        "Nothing was chosen by these images; the figure agrees with validation.",
        "trainworthy runs compare cells:v1 cells:v2",
        "trainworthy train /data/cells --continue-from cells:v2",
    ):
        assert part in said


def test_page_is_one_file_that_needs_no_network(tmp_path: Path) -> None:
    """Its policy forbids loading, nothing on it is loaded from anywhere, and it has no script."""
    page = drawn(told_runs.tell(tmp_path / "v1", epochs=3))
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"https?:|<script|<link|src=", page)


def test_charts_are_those_of_the_documentation(tmp_path: Path) -> None:
    """Loss, validation loss and mAP over epochs and steps; the best is marked, the steps are drawn thin behind."""
    page = drawn(told_runs.tell(tmp_path / "v1"))
    labels = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert labels[0].startswith("Loss over epochs: training loss from")
    assert "validation loss from" in labels[0]
    assert labels[1].startswith("mAP over epochs: mAP@50 from")
    assert [label.partition(" over")[0] for label in labels[2:]] == [
        "Precision, recall and IoU",
        "Probes",
        "Parts of the training loss",
        "Parts of the validation loss",
        "Learning rate",
    ]
    assert page.count('class="best"') == len(labels)
    loss = page.split('<g class="line loss">')[1]
    raw, smooth = (len(points.split()) for points in re.findall(r'points="([^"]*)"', loss)[:2])
    assert (raw, smooth) == (24 * 26, 24)
    assert re.search(r'class="axis faint"[^>]*>520<', page)  # the steps done by epoch 20


def test_page_of_a_long_run_stays_small(tmp_path: Path) -> None:
    """A hundred thousand steps are drawn as so many points as can be told apart, the last one among them."""
    run = told_runs.tell(tmp_path / "v1", epochs=0, end="")
    with run.file(runs.LOG).open("a") as log:
        log.writelines(
            f'{{"event": "step", "step": {n}, "epoch": 1, "loss": 1.0, "parts": {{}}, "lr": 0.1}}\n'
            for n in range(1, 100_001)
        )
    _, steps = run_page._read_log(run.file(runs.LOG))
    assert len(steps) <= run_page.MAX_STEPS
    assert steps[-1]["step"] == 100_000
    assert len(drawn(run)) < 150_000


def test_run_that_goes_on_is_not_judged_too_early(tmp_path: Path) -> None:
    """After three epochs no pattern is named; the page says so, and that it can be loaded again."""
    said = words(drawn(told_runs.tell(tmp_path / "v1", epochs=3, end="")))
    assert "in training when this page was written; epoch 3 of 24" in said
    assert "Too early to tell: 3 of 24 epochs." in said
    assert "Good training" not in said
    assert "Reload this page" in said


def test_alarm_of_a_run_that_goes_on_comes_first(tmp_path: Path) -> None:
    """A run without any mAP after ten epochs says that, whatever its diagnosis."""
    wrong = {"map50": 0.0, "map50_any_class": 0.0, "loss": 1.0, "val_loss": 1.0}
    page = drawn(told_runs.tell(tmp_path / "v1", epochs=10, end="", changes=wrong))
    assert 'class="verdict error"' in page
    assert "its loss has stopped falling" in words(page)


@pytest.mark.parametrize(
    ("figures", "part", "meaning"),
    [
        ({"map50_any_class": 0.9}, "all labels treated as one 0.900 +0.600", "with wrong labels"),
        ({"map50_any_class": 0.3}, "all labels treated as one 0.300 +0.000", "hardly confused"),
        ({"map50_train": 0.9}, "always the same 0.900 +0.600", "it memorizes them"),
        ({"map50_train": 0.31}, "always the same 0.310 +0.010", "has not even learned the training images"),
        ({"map50_golden": 0.1}, "the golden set 0.100 -0.200", "do not represent the golden set"),
        ({"map50_golden": 0.3}, "the golden set 0.300 +0.000", "Validation and golden set agree"),
    ],
)
def test_probes_say_what_a_gap_means(
    tmp_path: Path, figures: dict[str, float], part: str, meaning: str
) -> None:
    """Each probe is shown with its gap to validation and what follows from it."""
    said = words(drawn(told_runs.tell(tmp_path / "v1", changes={"map50": 0.3} | figures)))
    assert part in said
    assert meaning in said


def test_probe_of_a_good_run_warns_of_nothing() -> None:
    """Small gaps at a high level are no warning."""
    found = probes.judge({"map50": 0.85, "map50_any_class": 0.88, "map50_train": 0.93, "map50_golden": 0.8})
    assert [one.severity for one in found] == ["passed", "passed", "passed"]


def test_worst_labels_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    """Of a thousand labels a hundred are in the table, the worst ones; one without a figure is not among them."""
    one = {"map": 0.1, "precision": 0.1, "recall": 0.1}
    labels = {f"c{n}": one | {"map50": n / 1000 if n else None} for n in reversed(range(1000))}
    page = drawn(told_runs.tell(tmp_path / "v1", changes={"labels": labels}))
    assert re.findall(r"<bdi>(c\d+)</bdi></th>", page) == [f"c{n}" for n in range(1, 101)]
    assert "900 more are in metrics.csv" in words(page)


def test_nan_loss_is_a_finding_with_its_files(tmp_path: Path) -> None:
    """What ended the run stands above the curves, with the files of the batch and a lower rate to try."""
    said = words(drawn(told_runs.tell(tmp_path / "v1", epochs=9, end="nan-loss")))
    assert "nan-loss: the loss became NaN a.jpg" in said
    assert "ended: the loss became NaN" in said
    assert "trainworthy train /data/cells --lr 0.00067" in said


def test_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    """The command names the run as `train` finds it."""
    said = words(drawn(told_runs.tell(tmp_path / "runs/cells/v1", epochs=7, end="interrupted")))
    assert "trainworthy train /data/cells --name cells --resume" in said


@pytest.mark.parametrize("lost", [None, "run.json", "log.jsonl"])
def test_page_of_what_is_left_of_a_run(tmp_path: Path, lost: str | None) -> None:
    """Without epochs, record or log there is still a page, and it says what is not known."""
    run = told_runs.tell(tmp_path / "v1", epochs=0, end="")
    if lost:
        run.file(lost).unlink()
    assert "What next" in words(drawn(run))


def test_figures_that_are_no_numbers_are_dashes(tmp_path: Path) -> None:
    """Epochs without validation, or with a loss that is NaN, are drawn as far as they are known."""
    nothing = {"loss": float("nan"), "map50": float("nan"), "precision": float("nan")}
    run = told_runs.tell(tmp_path / "v1", epochs=8, changes=nothing, end="")
    page = drawn(run)
    assert "nan" not in "".join(re.findall(r'points="[^"]*"', page))


def test_audit_is_linked_and_its_findings_are_cited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit beside the certificate is a link away, also when the page is drawn from another folder."""
    run = told_runs.tell(tmp_path / "runs/cells/v1", changes={"map50_train": 0.99})
    audit = tmp_path / "reports/cells"
    audit.mkdir(parents=True)
    (audit / "index.html").write_text("")
    leak = {
        "rule": "D003",
        "image": "val/1.jpg",
        "annotation": None,
        "related": [],
        "waived": None,
        "message": "m",
    }
    (audit / "audit.json").write_text(
        json.dumps(
            {
                "schema": "trainworthy.audit/1",
                "dataset": {"images": 50, "splits": {"train": 40, "val": 10}},
                "rules": {"D003": {"name": "scene-in-two-splits", "status": "failed"}},
                "findings": [leak | {"image": f"val/{n}.jpg"} for n in range(9)],
            }
        )
    )
    for folder in (tmp_path, tmp_path / "runs"):
        monkeypatch.chdir(folder)
        page = drawn(run)
        assert '<a href="../../../reports/cells/index.html">' in page
        assert "D003 scene-in-two-splits: 9 findings" in words(page)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """Names of datasets, labels and files that are markup are shown, not obeyed."""
    one = {"map50": 0.1, "map": 0.1, "precision": 0.1, "recall": 0.1}
    run = told_runs.tell(
        tmp_path / "v1",
        changes={"labels": {HOSTILE: one}},
        dataset={"name": HOSTILE, "root": HOSTILE, "classes": [HOSTILE]},
    )
    page = drawn(run)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") == 1


def test_page_is_replaced_whole(tmp_path: Path) -> None:
    """Drawing it again leaves the new page and nothing beside it."""
    run = told_runs.tell(tmp_path / "v1", epochs=2)
    run.file(run_page.PAGE).write_text("old")
    assert "trainworthy run" in drawn(run)
    assert sorted(file.name for file in run.folder.iterdir()) == ["index.html", "log.jsonl", "run.json"]


# ------------------------------------------------------------------------------------------------------------
# Runs beside one another


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[runs.Run]:
    """Two runs below runs/, in the current folder; their dataset is gone."""
    monkeypatch.chdir(tmp_path)
    return [
        told_runs.tell(Path("runs/cells/v1")),
        told_runs.tell(Path("runs/cells/v2"), epochs=12, of=12, level=0.6),
    ]


def compare(*arguments: object) -> Result:
    return run("runs", "compare", *arguments)


def test_comparison_is_written_and_named(pair: list[runs.Run]) -> None:
    """The text stays; below it stands the page, which has every row of it."""
    result = compare("cells:v1", "cells:v2")
    assert result.exit_code == 0, result.output
    *table, last = result.stdout.splitlines()
    assert last == "page: runs/compare-cells-v1-cells-v2.html"
    said = words(Path("runs/compare-cells-v1-cells-v2.html").read_text())
    for row in table:
        assert re.sub(r"\s+", " ", row.strip()) in said
    assert "Different settings None." in said


def test_curves_of_both_are_over_each_other(pair: list[runs.Run]) -> None:
    """Each quantity is a panel with a line a run, over the epochs of the longer one."""
    page = comparison.render(pair, side_by_side.compare(pair))
    labels = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert [label.partition(" over")[0] for label in labels] == [
        "Training loss",
        "Validation loss",
        "mAP@50",
        "mAP@50-95",
        "Precision",
        "Recall",
    ]
    assert all("cells:v1 from" in label and "cells:v2 from" in label for label in labels)
    lines = re.findall(r'<polyline class="smooth" points="([^"]*)"', page)
    assert [len(line.split()) for line in lines[:2]] == [24, 12]
    assert lines[0].split()[-1].startswith("760.0,")
    assert float(lines[1].split()[-1].partition(",")[0]) < 400


def test_comparison_without_the_dataset_says_so(pair: list[runs.Run]) -> None:
    """Where the data is gone there are no pictures, and the page says why."""
    said = words(comparison.render(pair, side_by_side.compare(pair)))
    assert "The dataset of cells:v1 cannot be shown: " in said


def test_comparison_goes_where_it_is_told_and_overwrites_only_itself(pair: list[runs.Run]) -> None:
    """--out names a folder; an older page is replaced, a stranger's file is not."""
    assert compare("cells:v1", "cells:v2", "--out", "mine").exit_code == 0
    assert compare("cells:v1", "cells:v2", "--out", "mine").exit_code == 0
    page = Path("mine/compare-cells-v1-cells-v2.html")
    page.write_text("mine")
    result = compare("cells:v1", "cells:v2", "--out", "mine")
    assert result.exit_code == 2
    assert "was not written by trainworthy runs compare" in result.output
    assert page.read_text() == "mine"


def test_comparison_that_cannot_be_written_is_an_error(pair: list[runs.Run]) -> None:
    """A file where the folder should be is said, without a traceback."""
    Path("taken").write_text("")
    with pytest.raises(OutputError, match="cannot write the page taken/compare"):
        comparison.write(pair, side_by_side.compare(pair), Path("taken"))


def test_runs_on_other_data_are_marked(tmp_path: Path) -> None:
    """Runs of other certificates cannot be compared directly, and the page says it at its top."""
    pair = [told_runs.tell(tmp_path / f"v{n}", epochs=2) for n in (1, 2)]
    record = json.loads(pair[1].file(runs.RECORD).read_text())
    record["certificate"]["fingerprint"] = "blake3:other"
    pair[1].file(runs.RECORD).write_text(json.dumps(record))
    said = words(comparison.render(pair, side_by_side.compare(pair)))
    assert "These runs were not evaluated on the same images" in said
    assert "data cells" in said


# ------------------------------------------------------------------------------------------------------------
# In a browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    whole = told_runs.tell(folder / "runs/cells/v1", changes={"map50_golden": 0.5})
    early = told_runs.tell(folder / "runs/cells/v2", epochs=2, end="")
    broken = told_runs.tell(folder / "runs/cells/v3", epochs=9, end="nan-loss")
    found = {run.name: run_page.write(run.folder) for run in (whole, early, broken)}
    return found | {
        "compare": comparison.write([whole, early], side_by_side.compare([whole, early]), folder / "runs")
    }


@pytest.mark.parametrize("name", ["cells:v1", "cells:v2", "cells:v3", "compare"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_accessible(chromium: Any, pages: dict[str, Path], name: str, scheme: Any, width: int) -> None:
    """axe-core finds nothing, in light and dark, wide and narrow; nothing is wider than the screen or goes wrong."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("request", lambda ask: None if ask.url.startswith(("file:", "data:")) else wrong.append(ask.url))
    page.goto(pages[name].as_uri())
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    context.close()


test_accessible.pytestmark += IN_BROWSER  # type: ignore[attr-defined]
