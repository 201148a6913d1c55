"""What one does with a trained detector: `trainworthy predict`, `trainworthy export`, and runs on the same images."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from support import tiny
from support.command import run
from support.pictures import encode, photo
from trainworthy_train import runs
from trainworthy_train.data import gate
from trainworthy_train.errors import RunError, TrainingError
from trainworthy_train.evaluate import Detections
from trainworthy_train.inference import detector, drawing, predict, side_by_side
from trainworthy_train.report import comparison, run_page
from trainworthy_train.training import launch, loop
from trainworthy_train.training.progress import SilentListener
from trainworthy_train.training.result import TrainingResult
from trainworthy_train.training.settings import resolve

EVERYTHING = ("--conf", "0")  # what has hardly been trained is sure of nothing


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset `data`, its certificate, a run of the small model, and a copy of it as v2."""
    folder = tmp_path_factory.mktemp("project")
    tiny.certify(tiny.dataset(folder / "data"), folder / "reports")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with contextlib.chdir(folder):
        result = run(
            "train", "data", "--weights", "none", "--image-size", 64, "--epochs", 2, "--batch-size", 4,
            "--workers", 0, "--devices", 1, "--stop", "never",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    second = runs.Run(shutil.copytree(folder / "runs/data/v1", folder / "runs/data/v2"))
    record = second.record()
    record["settings"]["seed"] = 7
    second.file(runs.RECORD).write_text(json.dumps(record))
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def there(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, as the current folder."""
    monkeypatch.chdir(project)
    return project


def said(result: Result, code: int) -> str:
    """What was printed, after the exit code was found to be `code`."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


# ------------------------------------------------------------------------------------------------------------
# predict


def test_detections_are_a_coco_file_that_pycocotools_reads(there: Path, tmp_path: Path) -> None:
    """Images, boxes within them, categories and scores, numbered as COCO has it."""
    from pycocotools.coco import COCO

    out = tmp_path / "found"
    told = said(run("predict", "data:v1", "data/images/val", "--out", out, *EVERYTHING), 0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(out / predict.RESULTS))
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        f"data/images/val/val0{number}.png" for number in range(4)
    ]
    assert {(image["width"], image["height"]) for image in coco.dataset["images"]} == {(48, 40)}
    assert {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())} == {1: "cat", 2: "dog"}
    boxes = coco.loadAnns(coco.getAnnIds())
    assert boxes
    assert f"4 images, {len(boxes):,} detections" in told
    for one in boxes:
        x, y, width, height = one["bbox"]
        assert min(x, y) >= 0
        assert x + width <= 48.01
        assert y + height <= 40.01
        assert 0 <= one["score"] <= 1
        assert one["area"] == pytest.approx(width * height, abs=0.6)


def test_detections_are_what_the_model_finds(there: Path, tmp_path: Path) -> None:
    """The file holds the model's own boxes and scores, best first, in pixels of the image."""
    file = Path("data/images/val/val00.png")
    (prediction,) = detector.load(runs.find("data")).predict(file, conf=0.0)
    said(run("predict", "data", file, "--out", tmp_path / "found", *EVERYTHING), 0)
    found = json.loads((tmp_path / "found" / predict.RESULTS).read_text())["annotations"]
    assert [row["score"] for row in found] == [round(float(score), 4) for score in prediction.scores]
    assert list(prediction.scores) == sorted(prediction.scores, reverse=True)
    corners = [[row["bbox"][0], row["bbox"][1]] for row in found]
    assert np.allclose(corners, prediction.boxes[:, :2], atol=0.006)


def test_least_score_keeps_what_is_as_sure(there: Path, tmp_path: Path) -> None:
    """--conf leaves out what is less sure, and nothing else."""
    trained = detector.load(runs.find("data"))
    every = trained.predict("data/images/val/val00.png", conf=0.0)[0].scores
    limit = float(every[len(every) // 2])
    some = trained.predict("data/images/val/val00.png", conf=limit)[0].scores
    assert list(some) == [score for score in every if score >= limit]


def test_each_image_has_its_drawing(there: Path, tmp_path: Path) -> None:
    """Images of one name in two folders keep a drawing each; --no-draw leaves none."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy("data/images/val/val00.png", tmp_path / name / "x.png")
    out = tmp_path / "found"
    said(run("predict", "data", tmp_path / "a", tmp_path / "b", "--out", out, *EVERYTHING), 0)
    assert sorted(file.name for file in out.iterdir()) == ["predictions.json", "x-2.jpg", "x.jpg"]
    with Image.open(out / "x.jpg") as drawing:
        assert drawing.size == (48, 40)
    said(run("predict", "data", tmp_path / "a", "--out", tmp_path / "json", "--no-draw"), 0)
    assert [file.name for file in (tmp_path / "json").iterdir()] == ["predictions.json"]


def seen(box: tuple[float, ...], score: float, size: tuple[int, int] = (400, 300)) -> Any:
    """What `drawing.draw` takes: a black image and one box in it."""
    width, height = size
    detections = Detections(np.array([box]), np.array([score]), np.array([0]))
    return np.zeros((height, width, 3), np.uint8), detections


def test_box_is_drawn_where_it_is() -> None:
    """The outline lies on the box's edges; inside and outside stay as they were."""
    pixels = np.asarray(drawing.draw(*seen((100, 80, 200, 180), 0.9), ["cat"]))
    assert pixels[130, 100].any()
    assert pixels[180, 150].any()
    assert not pixels[130, 150].any()
    assert not pixels[250, 300].any()


def test_label_of_a_box_at_the_edge_can_be_read() -> None:
    """Above a box at the image's top there is no room: the label moves into the image."""
    pixels = np.asarray(drawing.draw(*seen((10, 0, 300, 200), 0.9), ["cat"]))
    assert pixels[3:9, 12:30].any(axis=2).mean() > 0.5


def test_large_image_is_drawn_small() -> None:
    """A drawing is to look at: its longest side has a limit, and boxes shrink with it."""
    image = drawing.draw(*seen((2000, 1000, 3000, 1500), 0.9, (4000, 2000)), ["cat"])
    assert image.size == (1600, 800)
    assert np.asarray(image)[500, 800].any()


def test_annotation_is_drawn_without_a_score() -> None:
    """An annotated box has no score: its label is its name alone, and takes less room."""
    with_score, without = (
        np.asarray(drawing.draw(*seen((50, 100, 350, 250), score), ["cat"])) for score in (0.9, float("nan"))
    )
    assert with_score[:98].any(axis=2).sum() > without[:98].any(axis=2).sum() > 0


def test_images_that_do_not_decode_are_named(there: Path, tmp_path: Path) -> None:
    """They cost nothing but themselves: the others are looked at, and what failed is said."""
    header = encode(photo(1), "jpeg")[:300]
    for name, content in {"cut.jpg": header, "empty.jpg": b"", "text.png": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
    shutil.copy("data/images/val/val00.png", tmp_path / "good.png")
    told = said(run("predict", "data", tmp_path, "--out", tmp_path / "found", *EVERYTHING), 0)
    failed = [line.strip() for line in told.splitlines() if "not decoded" in line]
    assert [line.partition(": ")[2].partition(": ")[0] for line in failed] == [
        str(tmp_path / name) for name in ("cut.jpg", "empty.jpg", "text.png")
    ]
    assert failed[-1].endswith(": not an image: begins with 'hello'")
    assert "object at 0x" not in told
    images = json.loads((tmp_path / "found" / predict.RESULTS).read_text())["images"]
    assert [Path(one["file_name"]).name for one in images] == ["good.png"]


def test_image_without_anything_found_is_in_the_file(there: Path, tmp_path: Path) -> None:
    """Nothing found is a result: the image is listed, without boxes."""
    said(run("predict", "data", "data/images/val/val00.png", "--out", tmp_path / "x", "--conf", "1"), 0)
    found = json.loads((tmp_path / "x" / predict.RESULTS).read_text())
    assert (len(found["images"]), found["annotations"]) == (1, [])


def test_folder_with_files_is_refused(there: Path, tmp_path: Path) -> None:
    """Nothing of the user's is written over, nor mixed with."""
    (tmp_path / "mine.txt").write_text("mine")
    told = said(run("predict", "data", "data/images/val", "--out", tmp_path), 2)
    assert f"{tmp_path} is not empty: mine.txt" in told
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_place_is_the_runs_own_unless_told(there: Path) -> None:
    """Without --out detections go to predictions/RUN, and a second time is refused."""
    told = said(run("predict", "data:v1", "data/images/val/val00.png"), 0)
    assert str(Path("predictions/data-v1/predictions.json")) in told
    assert "not empty" in said(run("predict", "data:v1", "data/images/val/val00.png"), 2)
    shutil.rmtree("predictions")


@pytest.mark.parametrize("place", ["nowhere", "data/labels"])
def test_images_that_are_not_there_are_an_error(there: Path, tmp_path: Path, place: str) -> None:
    """A path that is missing, and a folder without images, are said."""
    told = said(run("predict", "data", place, "--out", tmp_path / "found"), 2)
    assert place in told
    assert not (tmp_path / "found").exists()


# ------------------------------------------------------------------------------------------------------------
# Weights that cannot be used


@pytest.fixture
def copied(there: Path, tmp_path: Path) -> runs.Run:
    """A copy of a run, to spoil."""
    shutil.copytree("runs/data/v1", tmp_path / "run")
    return runs.Run(tmp_path / "run")


def spoil(run: runs.Run, **changes: Any) -> None:
    found = torch.load(run.file(runs.BEST), weights_only=True)
    torch.save(found | changes, run.file(runs.BEST))


def test_run_without_weights_says_so(copied: runs.Run) -> None:
    """A run that has not completed an epoch has nothing to use."""
    copied.file(runs.BEST).unlink()
    told = said(run("predict", copied.folder, "data/images/val"), 2)
    assert "has no weights yet" in told
    assert "trainworthy runs" in told


def test_weights_of_a_stranger_are_not_loaded_and_run_nothing(copied: runs.Run, tmp_path: Path) -> None:
    """A pickle that would run code is refused, and does not run."""

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    copied.file(runs.BEST).write_bytes(pickle.dumps(Trap(), protocol=2))
    told = said(run("predict", copied.folder, "data/images/val"), 2)
    assert "cannot be read as weights" in told
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken"])
def test_file_that_holds_no_weights_is_said(copied: runs.Run, content: bytes) -> None:
    """Whatever lies in best.pt, there is one clear error."""
    copied.file(runs.BEST).write_bytes(content)
    with pytest.raises(RunError, match="cannot be read as weights"):
        detector.load(copied)


def test_weights_of_another_program_are_said(copied: runs.Run) -> None:
    """A file of tensors that does not say that it is ours is not."""
    torch.save({"state_dict": {}}, copied.file(runs.BEST))
    with pytest.raises(RunError, match=r"is no file of weights of a run\n  Expected"):
        detector.load(copied)


def test_model_that_is_not_installed_is_named(copied: runs.Run) -> None:
    """Weights of a model that this version does not have name it, and those that there are."""
    spoil(copied, model="yolo99")
    with pytest.raises(RunError, match=r"the model 'yolo99', which is not installed\n  There are: .*small"):
        detector.load(copied)


def test_weights_that_do_not_fit_the_model_are_said(copied: runs.Run) -> None:
    """Tensors of another shape are one sentence, not a list of all of them."""
    spoil(copied, classes=["a", "b", "c"])
    with pytest.raises(RunError, match="does not fit the model small") as caught:
        detector.load(copied)
    assert len(str(caught.value)) < 400


def test_unknown_run_names_those_there_are(there: Path) -> None:
    """A name that is no run is an error that lists the runs."""
    assert "There are: data." in said(run("predict", "dta", "data/images/val"), 2)


# ------------------------------------------------------------------------------------------------------------
# export


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_export_writes_a_file_that_finds_the_same(there: Path, tmp_path: Path) -> None:
    """The TorchScript file finds in an image what `predict` does; the labels are named in their order."""
    file = tmp_path / "small.torchscript"
    told = said(run("export", "data:v2", "--to", "torchscript", "--out", file), 0)
    assert "images of 64 x 64, 2 labels; equal to the model on 4 images" in told
    assert "labels: 0 cat, 1 dog" in told
    picture = detector.example_images(runs.find("data:v2"), 64, 1)[0][None]
    boxes, scores, _ = torch.jit.load(str(file))(picture)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        expected = detector.load(runs.find("data:v2")).module(picture)[0]
    assert torch.allclose(scores, expected["scores"], atol=1e-4)
    assert torch.allclose(boxes, expected["boxes"], atol=0.1)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_export_goes_into_the_run_unless_told(there: Path) -> None:
    """Without --out the file is named after its model, and lies in the run's folder."""
    said(run("export", "data:v1", "--to", "torchscript"), 0)
    file = Path("runs/data/v1/small.torchscript")
    assert file.is_file()
    file.unlink()


def test_export_to_what_the_model_has_no_form_for_is_said(there: Path, tmp_path: Path) -> None:
    """Only YOLO goes to darknet; nothing is left behind."""
    told = said(run("export", "data", "--to", "darknet", "--out", tmp_path / "x.weights"), 2)
    assert "only YOLOv3" in told
    assert "next: trainworthy export RUN --to onnx" in told
    assert list(tmp_path.iterdir()) == []


def test_export_without_the_dataset_still_compares(there: Path, tmp_path: Path, copied: runs.Run) -> None:
    """Where the dataset is gone there are no pictures of it to compare on."""
    record = copied.record()
    record["dataset"]["root"] = str(tmp_path / "gone")
    copied.file(runs.RECORD).write_text(json.dumps(record))
    assert detector.example_images(copied, 64) == []


# ------------------------------------------------------------------------------------------------------------
# Runs on the same images


def test_runs_are_shown_on_the_same_images(there: Path) -> None:
    """Each validation image is there as it is annotated and as each run sees it, with correct boxes counted."""
    pair = [runs.find("data:v1"), runs.find("data:v2")]
    shown = side_by_side.compare(pair)
    assert shown.notes == ("The images are 4 of the 4 validation images of data:v1.",)
    assert [image.path for image in shown.images] == [f"images/val/val0{number}.png" for number in range(4)]
    for image in shown.images:
        assert [view.title for view in image.views] == ["annotated", "data:v1", "data:v2"]
        assert image.views[0].summary == "1 box"
    page = comparison.render(pair, shown)
    assert page.count('<img alt="images/val/') == 12
    assert "img-src data:" in page
    assert "seed" in page.split('id="settings"')[1].split('id="curves"')[0]


def test_image_that_was_changed_is_not_shown(there: Path, tmp_path: Path) -> None:
    """An image with other content than was certified is left out, and said; so is a run without weights."""
    for name in ("data", "runs", "reports"):
        shutil.copytree(name, tmp_path / name)
    pair = [runs.Run(tmp_path / f"runs/data/v{number}") for number in (1, 2)]
    for one in pair:
        record = one.record()
        record["dataset"]["root"] = str(tmp_path / "data")
        one.file(runs.RECORD).write_text(json.dumps(record))
    (tmp_path / "data/images/val/val01.png").write_bytes(
        (tmp_path / "data/images/val/val02.png").read_bytes()
    )
    pair[1].file(runs.BEST).unlink()
    shown = side_by_side.compare(pair)
    assert [len(image.views) for image in shown.images] == [2, 2, 2]
    assert any("images/val/val01.png has other content" in note for note in shown.notes)
    assert any("What data:v2 finds cannot be shown" in note for note in shown.notes)


def test_boxes_with_the_annotated_name_are_correct() -> None:
    """Labels are compared by name: two runs may number them differently."""
    from trainworthy_train.types import Sample

    box = np.array([[10.0, 10, 30, 30]], np.float32)
    sample: Any = Sample(
        "a.png",
        None,
        "",
        box,
        np.array([1]),
        np.zeros(1, bool),
        40,
        40,  # type: ignore[arg-type]
    )
    found = Detections(box.astype(float), np.array([0.9]), np.array([0]))
    assert side_by_side._correct(found, sample, ("dog", "cat"), ("cat", "dog")) == 1
    assert side_by_side._correct(found, sample, ("dog", "cat"), ("dog", "cat")) == 0
    assert side_by_side._correct(found, sample, ("hen",), ("cat", "dog")) == 0


def test_train_leaves_a_page_and_names_it(there: Path) -> None:
    """After training the run's page is there, and says how it ended."""
    page = Path("runs/data/v1/index.html").read_text()
    assert "finished: all planned epochs are done; epoch 2 of 2" in page
    assert "../../../reports/data/index.html" not in page  # no report was written here: only the certificate


class Recorder(SilentListener):
    """Remembers messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def on_message(self, text: str) -> None:
        self.messages.append(text)


def train(folder: Path, epochs: int, listener: SilentListener) -> TrainingResult:
    """Train the tiny model on the dataset of the project."""
    model = tiny.model()
    settings = resolve(model, {"workers": 0, "devices": "1", "epochs": epochs, "stop": "never"})
    fabric = launch.open_fabric(settings)
    dataset = gate.admit(Path("data"))
    return loop.train(loop.Job(fabric, model, settings, dataset, runs.create_at(folder), listener=listener))


def test_page_that_cannot_be_drawn_stops_no_training(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with the page is said after each epoch; the run comes to its end."""

    def fail(_: Path) -> Path:
        raise RuntimeError("no room")

    monkeypatch.setattr(run_page, "write", fail)
    recorder = Recorder()
    assert train(tmp_path / "run", 2, recorder).stop_reason == "finished"
    assert recorder.messages.count("the run's page was not drawn: no room") == 2
    assert not (tmp_path / "run/index.html").exists()


def test_page_is_drawn_after_each_epoch(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page follows the run: one drawing an epoch, the last with its end."""
    usual, seen_epochs = run_page.write, []

    def write(folder: Path) -> Path:
        seen_epochs.append(len(runs.latest(runs.Run(folder).events(), "epoch")))
        return usual(folder)

    monkeypatch.setattr(run_page, "write", write)
    train(tmp_path / "run", 3, SilentListener())
    assert seen_epochs == [1, 2, 3]
    assert "finished: all planned epochs are done; epoch 3 of 3" in (tmp_path / "run/index.html").read_text()


def test_no_pictures_at_all_is_an_error(tmp_path: Path) -> None:
    """An empty folder is said."""
    with pytest.raises(TrainingError, match="no images in"):
        detector.find_images([tmp_path])
