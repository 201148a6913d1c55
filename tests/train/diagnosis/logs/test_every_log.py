"""What holds for every format: recognised, read, and never a traceback."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.log_samples import BY_ITERATION, LENGTH, SAMPLES, WITH_VAL_LOSS, map50, sample
from trainworthy_train.diagnosis.logs import LogError, catalogue, read
from trainworthy_train.types import SERIES, Curves

TEXT = [form for form in SAMPLES if form not in {"tensorboard", "wandb"}]

a_few = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def save(folder: Path, form: str, content: bytes) -> Path:
    path = folder / SAMPLES[form][0]
    path.write_bytes(content)
    return path


def same(one: list[Curves], other: list[Curves]) -> bool:
    return [run.name for run in one] == [run.name for run in other] and all(
        a.series.keys() == b.series.keys()
        and all(
            np.array_equal(a.series[name].step, b.series[name].step)
            and np.array_equal(a.series[name].value, b.series[name].value, equal_nan=True)
            for name in a.series
        )
        for a, b in zip(one, other, strict=True)
    )


def test_every_format_has_a_sample() -> None:
    """No format is added without a small log of it; that of MLflow is a folder, and has its own tests."""
    assert set(catalogue()) == set(SAMPLES) | {"mlflow"}


@pytest.mark.parametrize("form", SAMPLES)
def test_read(form: str, tmp_path: Path) -> None:
    """A log is recognised by its content, and gives one run with loss, mAP@50 and mAP where they were logged."""
    path = tmp_path / "renamed"
    path.write_bytes(sample(form))
    (curves,) = read(path)
    assert curves.format == form
    assert curves.name == ""
    unit = "iteration" if form in BY_ITERATION else "epoch"
    assert curves.unit == unit
    ends = [LENGTH * e if unit == "iteration" else e for e in range(1, 5)]
    for name, share in (("map50", 1), ("map", 0.5)):
        if form == "darknet" and name == "map":
            continue
        assert curves.series[name].step.tolist() == ends
        assert curves.series[name].value == pytest.approx(
            [map50(e, 4) * share for e in range(1, 5)], abs=6e-4
        )
    loss = curves.series["loss"]
    for e, end in enumerate(ends, 1):
        assert loss.value[loss.step == end] == pytest.approx([3 / e], rel=1e-3)
    assert ("val_loss" in curves.series) == (form in WITH_VAL_LOSS)
    if form in WITH_VAL_LOSS:
        assert curves.series["val_loss"].value == pytest.approx([4 / e for e in range(1, 5)], rel=1e-3)


@pytest.mark.parametrize("form", SAMPLES)
def test_series_are_those_of_the_types(form: str, tmp_path: Path) -> None:
    """Series have the names that the types document, steps rise, and shares lie between 0 and 1."""
    (curves,) = read(save(tmp_path, form, sample(form)))
    for name, series in curves.series.items():
        assert name in SERIES or name.startswith(("loss/", "val_loss/"))
        assert series.step.dtype == series.value.dtype == np.float64
        assert (np.diff(series.step) > 0).all()
        assert len(series.step) == len(series.value) > 0
        if name.startswith(("map", "precision", "recall", "iou")):
            assert ((series.value >= 0) & (series.value <= 1)).all()


@pytest.mark.parametrize(
    "form",
    ["trainworthy", "mmdetection", "huggingface", "mmdetection_text", "yolov5_txt", "yolox", "darknet",
     "ultralytics_console"],
)  # fmt: skip
def test_planned(form: str, tmp_path: Path) -> None:
    """How long the run was to be is read where the log says it."""
    (curves,) = read(save(tmp_path, form, sample(form)))
    assert curves.planned == (8 * LENGTH if form in BY_ITERATION else 8)


@pytest.mark.parametrize("form", TEXT)
@pytest.mark.parametrize("how", ["windows", "utf-16", "byte order mark"])
def test_line_ends_and_encodings(form: str, how: str, tmp_path: Path) -> None:
    """Line ends of Windows, the UTF-16 of its redirected output and a byte order mark change nothing."""
    plain = sample(form)
    text = plain.decode()
    content = {
        "windows": text.replace("\r", "").replace("\n", "\r\n").encode() if "\r\n" not in text else plain,
        "utf-16": text.encode("utf-16"),
        "byte order mark": text.encode("utf-8-sig"),
    }[how]
    if how == "windows" and form == "ultralytics_console":
        content = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    expected = read(save(tmp_path, form, plain))
    assert same(read(save(tmp_path, form, content)), expected)


@pytest.mark.parametrize("form", SAMPLES)
@a_few
@given(data=st.data())
def test_cut_off(form: str, tmp_path: Path, data: st.DataObject) -> None:
    """A log cut off at any byte gives a beginning of the whole one's curves, or one clear error."""
    content = sample(form)
    (whole,) = read(save(tmp_path, form, content))
    at = data.draw(st.integers(0, len(content)))
    try:
        (part,) = read(save(tmp_path, form, content[:at]))
    except LogError:
        return
    if form in {"mmdetection", "lightning_csv"} or "map50" not in part.series or part.unit != whole.unit:
        return  # how long an epoch is, and whether steps are epochs, is known from complete epochs only
    for name, series in part.series.items():
        n = len(series.value) - (form == "ultralytics_console")  # whose last epoch may be under way
        assert series.value[:n] == pytest.approx(whole.series[name].value[:n]), name


@pytest.mark.parametrize("form", SAMPLES)
@a_few
@given(data=st.data())
def test_damaged(form: str, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes that were changed, dropped or doubled give curves or a clear error, and never another exception."""
    content = bytearray(sample(form, 3))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        what = data.draw(st.sampled_from(["change", "drop", "double", "insert"]))
        if what == "change" and content:
            content[at] = data.draw(st.integers(0, 255))
        elif what == "drop":
            del content[at : at + data.draw(st.integers(1, 200))]
        elif what == "double":
            content[at:at] = content[at : at + data.draw(st.integers(1, 200))]
        else:
            content[at:at] = data.draw(
                st.sampled_from([b"NaN", b"1e999", b"{", b"}", b'"', b"\n", b"\x00", b"-", b"99999999999"])
            )
    try:
        found = read(save(tmp_path, form, bytes(content)))
    except LogError:
        return
    assert found
    assert all(run.series for run in found)


@a_few
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_anything(tmp_path: Path, content: bytes) -> None:
    """Any bytes at all give curves or one clear error."""
    path = tmp_path / "anything"
    path.write_bytes(content)
    with contextlib.suppress(LogError):
        assert read(path)


@pytest.mark.parametrize(
    "form",
    ["detr", "detectron2", "ultralytics_csv", "yolov5_csv", "yolov5_txt", "darknet", "plain_csv",
     "ultralytics_console"],
)  # fmt: skip
def test_runs_in_one_file(form: str, tmp_path: Path) -> None:
    """A run that begins again in the same file is a run of its own."""
    first, second = sample(form, 3), sample(form, 4)
    one, other = read(save(tmp_path, form, first + second))
    assert (one.name, other.name) == ("run 1 of 2", "run 2 of 2")
    assert same([other], [replace_name(read(save(tmp_path, form, second))[0], "run 2 of 2")])
    assert len(one.series["map50"].step) == 3


def replace_name(curves: Curves, name: str) -> Curves:
    from dataclasses import replace

    return replace(curves, name=name)
