"""TensorBoard event files and the folders they lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.log_samples import VERSION, event, message, record, scalar, tensorboard
from trainworthy_train.diagnosis.logs import LogError, read
from trainworthy_train.diagnosis.logs.tensorboard import read_scalars

NAME = "events.out.tfevents.17000000{}.host"


def save(folder: Path, content: bytes, second: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME.format(f"{second:02}")
    path.write_bytes(content)
    return path


def test_as_tensorboard_writes_it(tmp_path: Path) -> None:
    """What TensorBoard's own writer writes is read: values, steps and tags."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    tensors = {
        "float list": TensorProto(dtype=DT_FLOAT, float_val=[0.5]),
        "double content": TensorProto(dtype=DT_DOUBLE, tensor_content=np.float64(0.25).tobytes()),
        "picture": TensorProto(dtype=DT_STRING, string_val=[b"png" * 1000]),
        "histogram": TensorProto(dtype=DT_FLOAT, float_val=[1.0, 2.0, 3.0]),
    }
    for step in (1, 300, 70000):
        values = [Summary.Value(tag="simple", simple_value=step / 2)]
        values += [Summary.Value(tag=tag, tensor=tensor) for tag, tensor in tensors.items()]
        writer.add_event(Event(wall_time=1.0, step=step, summary=Summary(value=values)))
    writer.close()
    (path,) = tmp_path.iterdir()
    found, notes = read_scalars(path)
    assert notes == []
    assert found == {
        "simple": [(1, 0.5), (300, 150), (70000, 35000)],
        "float list": [(1, 0.5), (300, 0.5), (70000, 0.5)],
        "double content": [(1, 0.25), (300, 0.25), (70000, 0.25)],
    }


def test_training_and_evaluation_apart(tmp_path: Path) -> None:
    """TensorFlow's object detection writes tensors to train/ and eval/: they are one run, of two losses."""
    train = [
        event(s, scalar("Loss/total_loss", 9 / s, tensor=True), scalar("learning_rate", 0.1, tensor=True))
        for s in (100, 200, 300)
    ]
    save(tmp_path / "train", VERSION + b"".join(train), 1)
    evaluation = [
        event(
            s,
            scalar("DetectionBoxes_Precision/mAP@.50IOU", 0.5, tensor=True),
            scalar("Loss/total_loss", 3.0, tensor=True),
        )
        for s in (150, 300)
    ]
    save(tmp_path / "eval", VERSION + b"".join(evaluation), 2)
    (curves,) = read(tmp_path)
    assert curves.unit == "iteration"
    assert curves.series["loss"].step.tolist() == [100, 200, 300]
    assert curves.series["val_loss"].step.tolist() == [150, 300]
    assert curves.series["map50"].value.tolist() == [0.5, 0.5]


def test_a_run_that_was_resumed_in_a_second_file(tmp_path: Path) -> None:
    """A later file that goes on where the first was cut off is the same run."""
    save(tmp_path, VERSION + b"".join(event(s, scalar("total_loss", 1.0)) for s in (10, 20, 30, 40)), 1)
    save(tmp_path, VERSION + b"".join(event(s, scalar("total_loss", 2.0)) for s in (30, 40, 50)), 2)
    (curves,) = read(tmp_path)
    assert curves.series["loss"].value.tolist() == [1, 1, 2, 2, 2]


def test_a_second_run_in_the_same_folder(tmp_path: Path) -> None:
    """A later file that begins again is another run."""
    save(tmp_path, VERSION + b"".join(event(s, scalar("total_loss", 1.0)) for s in (10, 20)), 1)
    save(tmp_path, VERSION + b"".join(event(s, scalar("total_loss", 2.0)) for s in (10, 20)), 2)
    assert [run.series["loss"].value.tolist() for run in read(tmp_path)] == [[1, 1], [2, 2]]


def test_runs_in_folders(tmp_path: Path) -> None:
    """A log directory of several runs gives each by its folder's name, v2 before v10."""
    for name in ("v10", "v2"):
        save(tmp_path / name, tensorboard(3))
    assert [run.name for run in read(tmp_path)] == ["v2", "v10"]


def test_the_best_weights_are_no_epoch(tmp_path: Path) -> None:
    """Scores of the best weights, logged after the last epoch under its step or the next, are left out."""
    ending = event(2, scalar("metrics/mAP_0.5", 0.99)), event(3, scalar("metrics/mAP_0.5", 0.99))
    for place, last in enumerate(ending):
        path = save(tmp_path / str(place), tensorboard(3) + last)
        (curves,) = read(path)
        assert curves.series["map50"].step.tolist() == [1, 2, 3]
        assert curves.series["map50"].value.max() < 0.9
        assert any("best weights" in note for note in curves.notes)


def test_damage_in_the_middle(tmp_path: Path) -> None:
    """A record whose content is damaged is left out; behind one whose length is damaged nothing is read."""
    bad = record(b"\x10\x01" + message(5, b"\x0a\xff"))
    path = save(tmp_path, tensorboard(2) + bad + event(2, scalar("train/box_loss", 1.0)))
    found, notes = read_scalars(path)
    assert len(found["train/box_loss"]) == 3
    assert notes == ["Damaged records are left out."]
    path.write_bytes(tensorboard(2) + b"\x00" * 12 + event(2, scalar("train/box_loss", 1.0)))
    found, notes = read_scalars(path)
    assert len(found["train/box_loss"]) == 2
    assert "as far as it goes" in notes[0]


def test_no_scalars(tmp_path: Path) -> None:
    """A file with nothing but its version gives one clear error."""
    with pytest.raises(LogError, match="no point of a curve"):
        read(save(tmp_path, VERSION))


def test_coco_metrics_of_a_file_with_a_learning_rate(tmp_path: Path) -> None:
    """It was written while training: its loss is the training loss. Without a rate it is an evaluation's."""
    metric = scalar("DetectionBoxes_Precision/mAP@.50IOU", 0.5)
    both = [event(s, scalar("Loss/total_loss", 1.0), metric) for s in (1, 2)]
    rate = event(1, scalar("learning_rate", 0.1))
    (training,) = read(save(tmp_path / "a", VERSION + rate + b"".join(both)))
    (evaluation,) = read(save(tmp_path / "b", VERSION + b"".join(both)))
    assert set(training.series) == {"loss", "map50", "lr"}
    assert set(evaluation.series) == {"val_loss", "map50"}


def test_events_before_the_first_step(tmp_path: Path) -> None:
    """A scalar at step -1, which protocol buffers store as a number of 64 bits, is no point."""
    before = event((1 << 64) - 1, scalar("total_loss", 9.0))
    path = save(tmp_path, VERSION + before + event(1, scalar("total_loss", 1.0)))
    assert read(path)[0].series["loss"].step.tolist() == [1]
