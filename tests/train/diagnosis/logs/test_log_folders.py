"""Which log of a folder is read, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.log_samples import SAMPLES, huggingface, sample
from trainworthy_train.diagnosis.logs import LogError, read
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name


def fill(folder: Path, *forms: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for form in forms:
        (folder / SAMPLES[form][0]).write_bytes(sample(form))
    return folder


@pytest.mark.parametrize("form", SAMPLES)
def test_a_folder_with_one_log(form: str, tmp_path: Path) -> None:
    """A folder is read as the log in it."""
    (curves,) = read(fill(tmp_path, form))
    assert curves.format == form


def test_one_log_of_several(tmp_path: Path) -> None:
    """A run's folder has the same curve in several files: one is read, and pictures and settings are passed over."""
    fill(tmp_path, "ultralytics_csv", "tensorboard", "ultralytics_console")
    (tmp_path / "args.yaml").write_text("epochs: 100\n")
    (tmp_path / "results.png").write_bytes(b"\x89PNG")
    (tmp_path / "weights").mkdir()
    (curves,) = read(tmp_path)
    assert curves.format == "ultralytics_csv"
    assert curves.planned == 100


def test_our_runs(tmp_path: Path) -> None:
    """The folder of a run is read by its log; the folder of its versions gives each."""
    for version in ("v1", "v2", "v10"):
        fill(tmp_path / "streets" / version, "trainworthy", "lightning_csv")
    assert [run.format for run in read(tmp_path / "streets" / "v1")] == ["trainworthy"]
    assert [run.name for run in read(tmp_path / "streets")] == ["v1", "v2", "v10"]
    assert [run.name for run in read(tmp_path)] == ["streets/v1", "streets/v2", "streets/v10"]


def test_several_runs_of_one_format(tmp_path: Path) -> None:
    """mmdetection keeps all runs of a folder side by side: each is named by its file."""
    for name in ("20260102_1.log.json", "20260103_1.log.json"):
        (tmp_path / name).write_bytes(sample("mmdetection"))
    assert [run.name for run in read(tmp_path)] == ["20260102_1.log.json", "20260103_1.log.json"]


def test_checkpoints_of_hugging_face(tmp_path: Path) -> None:
    """Each checkpoint repeats the history of those before: the last is read."""
    for step, epochs in ((20, 1), (80, 4), (100, 5)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(huggingface(epochs))
    (curves,) = read(tmp_path)
    assert len(curves.series["map50"].step) == 5


def test_errors_say_what_was_seen(tmp_path: Path) -> None:
    """A missing path, an empty file, a text, a picture and a folder without logs each get one clear error."""
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("Buy milk.\n")
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)))
    (tmp_path / "folder").mkdir()
    for name, said in {
        "missing.csv": "does not exist",
        "empty.csv": "is empty",
        "notes.txt": "it starts with 'Buy milk.'",
        "cat.jpg": "it is not text",
        "folder": "it holds no files",
    }.items():
        with pytest.raises(LogError, match=said) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metrics/mAP50(B)", "map50"),
        ("metrics/mAP_0.5:0.95", "map"),
        ("DetectionBoxes_Precision/mAP@.50IOU", "map50"),
        ("DetectionBoxes_Precision/mAP@.75IOU", ""),
        ("DetectionBoxes_Precision/mAP (small)", ""),
        ("bbox/AP-person", ""),
        ("segm/AP50", ""),
        ("val/COCOAP50_95", "map"),
        ("train_map_50", "map50_train"),
        ("train/box_loss", "loss/box"),
        ("val/box_loss", "val_loss/box"),
        ("train_loss_bbox_unscaled", ""),
        ("validation_loss", "val_loss"),
        ("valuation", ""),
        ("lr/pg1", "lr"),
        ("lr/pg2", ""),
        ("model/lr", "lr"),
        ("mar_100", ""),
        ("time", ""),
    ],
)
def test_names(name: str, expected: str) -> None:
    """Trainers' names are told apart: of mAP the two kinds, of losses training and validation, of rates one."""
    assert series_name(name) == expected


@given(st.text(max_size=40))
def test_any_name(name: str) -> None:
    """Any name at all gives a series or nothing."""
    assert isinstance(series_name(name), str)


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.lists(st.integers(), max_size=2),
    )
)
def test_any_number(value: object) -> None:
    """Any cell at all gives a number or None."""
    found = number(value)
    assert found is None or isinstance(found, float)


def test_numbers_of_c() -> None:
    """The -nan and 1.#QNAN of C libraries are NaN; words and underscores are no numbers."""
    assert all(
        value != value
        for value in (number("-nan"), number("nan(ind)"), number("1.#QNAN"))
        if value is not None
    )
    assert number("-nan") is not None
    assert number("1_000") is None
    assert number("") is None
    assert number(10**400) is None
