"""CSV logs: ultralytics, YOLOv5, Lightning, and any other with or without named columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.log_samples import lightning_csv, sample, ultralytics_csv, yolov5_csv, yolov5_txt
from trainworthy_train.diagnosis.logs import LogError, read
from trainworthy_train.types import Curves

HEAD = ultralytics_csv(1).split("\n")[0]


def one(path: Path, text: str, name: str = "results.csv") -> Curves:
    path.mkdir(exist_ok=True)
    (path / name).write_text(text)
    (curves,) = read(path / name)
    return curves


def row(epoch: int, box: float = 1.0, rate: float = 0.01) -> str:
    return f"\n{epoch},1.5,{box},0.5,{box / 2},0.5,0.4,0.3,0.2,1.1,1.2,1.3,0.09,{rate:.5g},{rate:.5g}"


def falling(epochs: int, end: float = 0.01, begin: float = 0.01, *, late: int = 0) -> list[float]:
    """Ultralytics' learning rate, with a warm-up of three epochs."""
    straight = [begin * ((1 - max(e - late, 0) / epochs) * (1 - end) + end) for e in range(epochs)]
    return [rate * min(1, (e + 1) / 3) for e, rate in enumerate(straight)]


def test_padded_header_without_time(tmp_path: Path) -> None:
    """Version 8.1's padded columns without `time` give the same as the later ones."""
    padded = "\n".join(
        ",".join(f"{cell:>23}" for i, cell in enumerate(line.split(",")) if i != 1)
        for line in ultralytics_csv(3).split("\n")[:-1]
    )
    plain, other = one(tmp_path / "a", ultralytics_csv(3)), one(tmp_path / "b", padded + "\n")
    assert plain.series.keys() == other.series.keys()
    assert all(np.array_equal(plain.series[name].value, other.series[name].value) for name in plain.series)


def test_decimal_commas_are_read(tmp_path: Path) -> None:
    """A table that a spreadsheet saved again, with semicolons and decimal commas, gives the same curves."""
    saved = ultralytics_csv(3).replace(",", ";").replace(".", ",")
    plain, other = one(tmp_path / "a", ultralytics_csv(3)), one(tmp_path / "b", saved)
    assert plain.series.keys() == other.series.keys()
    assert all(np.array_equal(plain.series[name].value, other.series[name].value) for name in plain.series)


def test_total_is_the_sum_of_parts(tmp_path: Path) -> None:
    """A loss that is logged in parts gets a total, for training and for validation."""
    curves = one(tmp_path, HEAD + row(1, 2.0))
    assert curves.series["loss"].value.tolist() == [3.5]
    assert curves.series["val_loss"].value == pytest.approx([3.6])


def test_nan_in_a_part_is_nan_in_the_total(tmp_path: Path) -> None:
    """NaN and infinite losses are kept: they are what a diagnosis looks for."""
    text = HEAD + row(1) + "\n2,1.5,nan,0.5,0.5,0,0,0,0,inf,1.2,1.3,0.09,0.01,0.01\n"
    curves = one(tmp_path, text)
    assert np.isnan(curves.series["loss"].value[1])
    assert np.isinf(curves.series["val_loss"].value[1])


@pytest.mark.parametrize("reached", [40, 25])
def test_planned_epochs_and_mosaic_from_the_learning_rate(tmp_path: Path, reached: int) -> None:
    """The straight learning rate tells how many epochs were planned, and so when mosaic was switched off."""
    text = HEAD + "".join(row(e, rate=rate) for e, rate in enumerate(falling(40)[:reached], 1))
    curves = one(tmp_path, text)
    assert curves.planned == 40
    assert curves.facts.get("mosaic_off") == (31 if reached == 40 else None)
    assert "40 epochs were planned, by the slope of the learning rate." in curves.notes


def test_another_final_learning_rate_of_a_complete_run(tmp_path: Path) -> None:
    """A slope under which the run is exactly complete is believed before ultralytics' default."""
    text = HEAD + "".join(row(e, rate=rate) for e, rate in enumerate(falling(100, end=0.1), 1))
    assert one(tmp_path, text).planned == 100


def test_yolov5_logs_the_rate_of_the_epoch_before(tmp_path: Path) -> None:
    """YOLOv5's learning rate lags an epoch, which is allowed for; it never switches mosaic off."""
    rates = falling(30, late=1)
    head, *lines = yolov5_csv(30).strip().split("\n")
    text = "\n".join(
        [head] + [f"{line.rsplit(',', 2)[0]},{r:.5g},{r:.5g}" for line, r in zip(lines, rates, strict=True)]
    )
    curves = one(tmp_path, text)
    assert curves.planned == 30
    assert "mosaic_off" not in curves.facts


def test_cosine_learning_rate_plans_nothing(tmp_path: Path) -> None:
    """Of a rate that is not straight, nothing is inferred."""
    rates = 0.01 * (1 + np.cos(np.linspace(0, 3, 40))) / 2
    text = HEAD + "".join(row(e, rate=rate) for e, rate in enumerate(rates, 1))
    assert one(tmp_path, text).planned is None


def test_settings_beside_the_log(tmp_path: Path) -> None:
    """ultralytics' args.yaml beside the log is believed before any inference."""
    (tmp_path / "args.yaml").write_text(
        "task: detect\nmodel: runs/detect/train3/weights/last.pt\nepochs: 20\nclose_mosaic: 4\npretrained: true\n"
    )
    curves = one(tmp_path, HEAD + "".join(row(e) for e in range(1, 21)))
    assert curves.planned == 20
    assert curves.facts["mosaic_off"] == 17
    assert curves.facts["pretrained"] is True
    assert curves.facts["continued"] == "runs/detect/train3/weights/last.pt"


def test_from_scratch(tmp_path: Path) -> None:
    """A model that is described by a yaml file starts from random weights, whatever `pretrained: true` says."""
    (tmp_path / "args.yaml").write_text("model: yolov8n.yaml\nepochs: 5\nclose_mosaic: 0\npretrained: true\n")
    curves = one(tmp_path, HEAD + row(1))
    assert curves.facts == {"pretrained": False}


def test_resumed_run(tmp_path: Path) -> None:
    """Where the epochs go back into the run, what was logged beyond is replaced by what follows."""
    text = HEAD + row(1, 4.0) + row(2, 3.0) + row(3, 9.0) + row(4, 9.0) + row(3, 2.0)
    curves = one(tmp_path, text)
    assert curves.series["loss/box"].step.tolist() == [1, 2, 3]
    assert curves.series["loss/box"].value.tolist() == [4, 3, 2]
    assert curves.facts["resumed_at"] == [3]


def test_header_repeated_by_a_second_run(tmp_path: Path) -> None:
    """Two files put behind one another are two runs."""
    (tmp_path / "results.csv").write_text(ultralytics_csv(3) + ultralytics_csv(2))
    assert [len(run.series["map50"].step) for run in read(tmp_path / "results.csv")] == [3, 2]


def test_rows_that_are_cut_off(tmp_path: Path) -> None:
    """A row that misses more than its last learning rate is left out, and said to be."""
    text = HEAD + row(1) + row(2)
    assert len(one(tmp_path, text[: text.rindex(",") + 2]).series["loss"].step) == 2
    curves = one(tmp_path, text[: text.rindex("0.3,")])
    assert len(curves.series["loss"].step) == 1
    assert any("Line 3" in note for note in curves.notes)


def test_no_labels(tmp_path: Path) -> None:
    """Box losses of exactly 0 mean that no labels were loaded; a class loss of 0 is that of a single class."""
    curves = one(tmp_path, HEAD + row(1, 0.0) + row(2, 0.0))
    assert curves.facts.get("no_training_labels") is True
    assert "no_validation_labels" not in curves.facts
    assert "no_training_labels" not in one(tmp_path, yolov5_csv(3)).facts


def test_yolov5_without_evaluation_in_some_epochs(tmp_path: Path) -> None:
    """Rows of results.txt without metrics still give their losses."""
    lines = yolov5_txt(4).splitlines()
    lines[1] = " ".join(lines[1].split()[:8])
    curves = one(tmp_path, "\n".join(lines) + "\n", "results.txt")
    assert curves.series["loss"].step.tolist() == [1, 2, 3, 4]
    assert curves.series["map50"].step.tolist() == [1, 3, 4]


@pytest.mark.parametrize("parts", ["0.3", "0.3 0.1", "0.3 0.1 0.002"])
def test_further_losses_shift_the_other_columns(tmp_path: Path, parts: str) -> None:
    """A loss of landmarks or key points stands before the sum; metrics are found behind labels and image size."""
    text = "".join(
        f"   {e}/9   1.9G   1.1   2.2   {parts}   3.6   0   640   0.6   1   0.{e}   0.0{e}   1.1   2.2   0\n"
        for e in range(5)
    )
    found = one(tmp_path, text, "results.txt").series
    assert set(found["loss"].value) == {3.6}
    assert found["map50"].value.tolist() == [0, 0.1, 0.2, 0.3, 0.4]
    assert found["map"].value.tolist() == [0, 0.01, 0.02, 0.03, 0.04]
    assert found["val_loss/obj"].value.tolist() == [2.2] * 5


def test_rows_without_the_sum_of_losses(tmp_path: Path) -> None:
    """Without the sum, and with mAP at 0.75 before mAP: no column is taken for its neighbour, and it is said."""
    text = "".join(
        f" {e}/9  1.9G  0.01  0.1  0.05  3{e}7  {640 + 32 * e}  0.6  0.5  0.{e}  0.0{e}  0.1  1.1  2.2  0.3\n"
        for e in range(1, 6)
    )
    curves = one(tmp_path, text, "results.txt")
    assert curves.series["loss"].value == pytest.approx([0.16] * 5)
    assert curves.series["map50"].value.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert curves.series["map"].value.tolist() == [0.1] * 5
    assert curves.series["val_loss"].value == pytest.approx([3.6] * 5)
    assert any("no sum of the losses" in note for note in curves.notes)


def test_a_number_of_labels_is_no_loss(tmp_path: Path) -> None:
    """Rows in which the size of the images is nowhere to be found are refused, a single one is left out."""
    row = (
        "   {e}/9   1.9G   0.01   0.1   0.05   0.16   37   {size}   0.6   0.5   0.2   0.1   1.1   2.2   0.3\n"
    )
    (tmp_path / "results.txt").write_text("".join(row.format(e=e, size=0.5) for e in range(5)))
    with pytest.raises(LogError):
        read(tmp_path / "results.txt")
    odd = one(
        tmp_path, "".join(row.format(e=e, size=0.5 if e == 2 else 640) for e in range(5)), "results.txt"
    )
    assert odd.series["loss"].step.tolist() == [1, 2, 4, 5]
    assert any("Line 3" in note for note in odd.notes)


def test_yolov3_has_f1_where_yolov5_has_map(tmp_path: Path) -> None:
    """YOLOv3's results.txt has F1 after mAP@50; it is not taken for mAP."""
    text = "".join(
        f"   {e}/9   1.9G   1.1   2.2   0.3   3.6   12   416   0.6   0.5   0.{e}   0.55   1.1   2.2   0.3\n"
        for e in range(5)
    )
    curves = one(tmp_path, text, "results.txt")
    assert "map50" in curves.series
    assert "map" not in curves.series


def test_lightning_places_steps_within_epochs(tmp_path: Path) -> None:
    """Losses of steps stand at fractions of epochs; the mean of an epoch replaces them where it is logged."""
    text = "epoch,step,train_loss,val_map_50\n0,4,3.0,\n0,9,2.0,\n0,9,,0.1\n1,14,1.5,\n1,19,1.0,\n1,19,,0.2\n"
    curves = one(tmp_path, text, "metrics.csv")
    assert curves.series["loss"].step.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert curves.series["map50"].step.tolist() == [1.0, 2.0]
    assert one(tmp_path, lightning_csv(3), "metrics.csv").series["loss"].step.tolist() == [1, 2, 3]


def test_percent(tmp_path: Path) -> None:
    """Metrics in percent become shares, and it is said; -1, nothing to measure, is no point."""
    curves = one(tmp_path, "epoch,loss,mAP50,mAP\n1,2,-1,-1\n2,1,61.5,30.5\n3,1,0.8,0.4\n", "history.csv")
    assert curves.series["map50"].value == pytest.approx([0.615, 0.008])
    assert curves.series["map50"].step.tolist() == [2, 3]
    assert "Metrics are in percent in the log, and between 0 and 1 here." in curves.notes


def test_epochs_from_zero(tmp_path: Path) -> None:
    """Epochs that count from 0 are counted from 1."""
    assert one(tmp_path, "epoch,loss,val_loss\n0,2,2\n1,1,2\n", "history.csv").series[
        "loss"
    ].step.tolist() == [1, 2]


def test_weights_and_biases_export(tmp_path: Path) -> None:
    """A CSV exported from Weights & Biases names the run before the series, and its bounds after it."""
    text = (
        '"Step","exp 5 - metrics/mAP_0.5","exp 5 - metrics/mAP_0.5__MIN","exp 5 - metrics/mAP_0.5__MAX"\n'
        '"0","0.1","0.1","0.1"\n"1","0.2","0.2","0.2"\n'
    )
    curves = one(tmp_path, text, "wandb.csv")
    assert curves.unit == "iteration"
    assert curves.series["map50"].value.tolist() == [0.1, 0.2]


def test_columns(tmp_path: Path) -> None:
    """Columns of any name are read as the series that they are said to be; a column of steps may be missing."""
    path = tmp_path / "x.csv"
    path.write_text("it,train cost,ap\n10,2.5,0.1\n20,1.5,0.2\n")
    (curves,) = read(path, {"loss": "train cost", "map50": "ap", "step": "it"})
    assert curves.unit == "iteration"
    assert curves.series["loss"].step.tolist() == [10, 20]
    assert curves.series["map50"].value.tolist() == [0.1, 0.2]
    (counted,) = read(path, {"loss": "train cost"})
    assert counted.series["loss"].step.tolist() == [1, 2]
    (named,) = read(path, {"epoch": "it", "loss/box": "train cost"})
    assert named.unit == "epoch"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"loss": "train_cost"}, "has no column 'train_cost'"),
        ({"los": "train cost"}, "'los' is not a series"),
        ({"epoch": "ep"}, "has no column 'ep'"),
    ],
)
def test_wrong_columns(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    """A column or series that is not there is named, with what there is."""
    path = tmp_path / "x.csv"
    path.write_text("it,train cost\n10,2.5\n20,1.5\n")
    with pytest.raises(LogError, match=said) as caught:
        read(path, columns)
    assert "train cost" in str(caught.value) or "map50" in str(caught.value)


def test_table_that_is_no_curve(tmp_path: Path) -> None:
    """A table of many runs, with a column of how many epochs each had, is no curve: its columns are shown."""
    path = tmp_path / "summary.csv"
    path.write_text("model,batch,epochs,map50\nyolov8n,16,100,0.5\nyolov8s,16,100,0.6\n")
    with pytest.raises(LogError, match="model, batch, epochs, map50") as caught:
        read(path)
    assert "--columns" in caught.value.next_step


def test_one_in_a_thousand_is_read(tmp_path: Path) -> None:
    """A long log comes back whole."""
    (tmp_path / "results.csv").write_bytes(sample("ultralytics_csv", 1000))
    assert len(read(tmp_path / "results.csv")[0].series["loss"].step) == 1000


def test_a_rounded_one_is_no_percent(tmp_path: Path) -> None:
    """An mAP of 1.0001 comes from rounding: the others stay what they are."""
    curves = one(tmp_path, "epoch,loss,mAP50\n1,2,0.5\n2,1,1.0001\n", "history.csv")
    assert curves.series["map50"].value.tolist() == [0.5, 1.0001]


def test_a_total_needs_all_parts(tmp_path: Path) -> None:
    """An epoch that lacks a part has no total."""
    curves = one(tmp_path, "epoch,box_loss,cls_loss\n1,2,1\n2,2,\n3,1,1\n", "history.csv")
    assert curves.series["loss"].step.tolist() == [1, 3]
    assert curves.series["loss"].value.tolist() == [3, 2]


def test_lightning_prefers_the_mean_of_an_epoch(tmp_path: Path) -> None:
    """Where a loss is logged at steps and as the mean of the epoch, the latter is the curve."""
    text = "epoch,step,train_loss_step,train_loss_epoch\n0,0,9,\n0,1,7,\n0,1,,8\n1,2,5,\n1,3,3,\n1,3,,4\n"
    curves = one(tmp_path, text, "metrics.csv")
    assert curves.series["loss"].step.tolist() == [1, 2]
    assert curves.series["loss"].value.tolist() == [8, 4]


def test_averaged_weights_are_not_read(tmp_path: Path) -> None:
    """Metrics of averaged weights, logged beside those of the weights themselves, are another curve."""
    curves = one(tmp_path, "epoch,loss,mAP50,ema_mAP50\n1,2,0.5,0.9\n2,1,0.6,0.9\n", "history.csv")
    assert curves.series["map50"].value.tolist() == [0.5, 0.6]


def test_ultralytics_before_8_1_logs_the_rate_of_the_epoch_before(tmp_path: Path) -> None:
    """Then the straight line seems to end an epoch later: a complete run was still planned as long as it is."""
    text = HEAD + "".join(row(e, rate=rate) for e, rate in enumerate(falling(40, late=1), 1))
    assert one(tmp_path, text).planned == 40
