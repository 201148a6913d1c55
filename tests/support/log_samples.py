"""Small logs of every format, written for the tests: n epochs in which the loss falls and mAP rises.

At epoch e the training loss is 3/e (box 2/e, class 1/e), the validation loss 4/e, mAP@50 is e/(n+1) and mAP half of it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: How many iterations an epoch has where they are logged, and after how many a line is.
LENGTH, EVERY = 20, 10


def map50(epoch: int, n: int) -> float:
    return round(epoch / (n + 1), 4)


def rounds(n: int) -> Sequence[tuple[int, float, float, float]]:
    """Epoch, box loss, class loss, mAP@50."""
    return [(e, 2 / e, 1 / e, map50(e, n)) for e in range(1, n + 1)]


def steps(n: int) -> Sequence[tuple[int, int, int]]:
    """Epoch, iteration within it, iteration in all: where a line is logged."""
    return [(e, i, (e - 1) * LENGTH + i) for e in range(1, n + 1) for i in range(EVERY, LENGTH + 1, EVERY)]


def lines(entries: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def trainworthy(n: int) -> str:
    entries: list[dict[str, Any]] = [
        {
            "event": "session", "schema": "trainworthy.run/1", "name": "streets", "version": 1, "model": "small",
            "planned_epochs": 8, "steps_per_epoch": LENGTH, "pretrained": True, "resumed_at": None,
        }
    ]  # fmt: skip
    for e, box, cls, m in rounds(n):
        entries += [
            {"event": "step", "step": s, "epoch": e, "loss": 3 / e, "lr": 0.01}
            for x, _, s in steps(n)
            if x == e
        ]
        entries.append(
            {
                "event": "epoch", "epoch": e, "step": e * LENGTH, "loss": box + cls, "parts": {"box": box, "cls": cls},
                "val_loss": 4 / e, "map50": m, "map": m / 2, "labels": {"cat": {"map50": m}}, "seconds": 1.5,
            }
        )  # fmt: skip
    return lines([*entries, {"event": "end", "why": "finished", "best_epoch": n, "best_map50": map50(n, n)}])


def ultralytics_csv(n: int) -> str:
    head = (
        "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/precision(B),metrics/recall(B),"
        "metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2"
    )
    return "\n".join(
        [head]
        + [
            f"{e},{e * 3.5},{box},{cls},0.0,0.5,0.4,{m},{m / 2},{2 / e},{1 / e},{1 / e},0.07,0.01,0.01"
            for e, box, cls, m in rounds(n)
        ]
        + [""]
    )


def yolov5_csv(n: int) -> str:
    head = [
        "epoch", "train/box_loss", "train/obj_loss", "train/cls_loss", "metrics/precision", "metrics/recall",
        "metrics/mAP_0.5", "metrics/mAP_0.5:0.95", "val/box_loss", "val/obj_loss", "val/cls_loss",
        "x/lr0", "x/lr1", "x/lr2",
    ]  # fmt: skip
    table = [
        [e - 1, box, 0.0, cls, 0.5, 0.4, m, m / 2, 2 / e, 2 / e, 0, 0.1, 0.01, 0.01]
        for e, box, cls, m in rounds(n)
    ]
    return "".join(",".join(f"{cell!s:>20}" for cell in row) + "\n" for row in [head, *table])


def yolov5_txt(n: int) -> str:
    return "".join(
        f"{f'{e - 1}/7':>10}     1.96G {box:9.4g} {0:9.4g} {cls:9.4g} {3 / e:9.4g}"
        f"        12       640       0.5       0.4"
        f" {m:9.4g} {m / 2:9.4g} {2 / e:9.4g} {2 / e:9.4g} {0:9.4g}\n"
        for e, box, cls, m in rounds(n)
    )


def lightning_csv(n: int) -> str:
    text = "epoch,step,train_loss_step,train_loss_epoch,val_loss,val_map,val_map_50,lr-SGD\n"
    for e, _, _, m in rounds(n):
        text += "".join(f"{e - 1},{s - 1},{3 / e},,,,,0.01\n" for x, _, s in steps(n) if x == e)
        text += f"{e - 1},{e * LENGTH - 1},,,{4 / e},{m / 2},{m},\n{e - 1},{e * LENGTH - 1},,{3 / e},,,,\n"
    return text


def plain_csv(n: int) -> str:
    return "Epoch;Train Loss;valid_loss;mAP@0.5;mAP@[0.5:0.95]\n".replace(" ", "_") + "".join(
        f"{e};{3 / e};{4 / e};{m};{m / 2}\n" for e, _, _, m in rounds(n)
    )


def detectron2(n: int) -> str:
    entries = []
    for e, i, s in steps(n):
        entry: dict[str, Any] = {
            "data_time": 0.01,
            "eta_seconds": (8 * LENGTH - s) * 0.5,
            "time": 0.5,
            "iteration": s,
        }
        entry |= {"loss_cls": 1 / e, "loss_box_reg": 2 / e, "total_loss": 3 / e, "lr": 0.001}
        if i == LENGTH:
            entry |= {"bbox/AP": map50(e, n) * 50, "bbox/AP50": map50(e, n) * 100, "bbox/APs": float("nan")}
        entries.append(dict(sorted(entry.items())))
    return lines(entries)


def detectron2_text(n: int) -> str:
    text = "[01/02 03:04:05 d2.engine.train_loop]: Starting training from iteration 0\n"
    for e, i, s in steps(n):
        text += f"[01/02 03:04:06 d2.utils.events]:  eta: 0:10:00  iter: {s}  total_loss: {3 / e:.4f}  "
        text += (
            f"loss_cls: {1 / e:.4f}  loss_box_reg: {2 / e:.4f}  time: 0.5000  lr: 0.00100  max_mem: 4562M\n"
        )
        if i == LENGTH:
            for line in (
                "Task: bbox",
                "AP,AP50,AP75,APs,APm,APl",
                f"{map50(e, n) * 50:.4f},{map50(e, n) * 100:.4f},1,nan,2,3",
            ):
                text += f"[01/02 03:04:07 d2.evaluation.testing]: copypaste: {line}\n"
    return text


def mmdetection(n: int) -> str:
    entries: list[dict[str, Any]] = [
        {"env_info": "sys.platform: linux", "config": "total_epochs = 8\n", "seed": None}
    ]
    for e, i, _ in steps(n):
        entries.append(
            {"mode": "train", "epoch": e, "iter": i, "lr": 0.01, "loss_cls": 1 / e, "loss_bbox": 2 / e}
        )
        entries[-1] |= {"loss": 3 / e, "acc": 90.0, "time": 0.5}
        if i == LENGTH:
            m = map50(e, n)
            entries.append(
                {"mode": "val", "epoch": e, "iter": 5, "lr": 0.01, "bbox_mAP": m / 2, "bbox_mAP_50": m}
            )
            entries[-1] |= {"bbox_mAP_s": -1.0, "bbox_mAP_copypaste": f"{m / 2} {m}"}
    return lines(entries)


def mmdetection_text(n: int) -> str:
    text = "2026-01-02 03:04:05,678 - mmdet - INFO - workflow: [('train', 1)], max: 8 epochs\n"
    for e, i, _ in steps(n):
        text += f"2026-01-02 03:04:06,678 - mmdet - INFO - Epoch [{e}][{i}/{LENGTH}]\tlr: 1.000e-02, eta: 0:10:00, "
        text += f"time: 0.5, memory: 4893, loss_cls: {1 / e:.4f}, loss_bbox: {2 / e:.4f}, loss: {3 / e:.4f}\n"
        if i == LENGTH:
            text += f"2026-01-02 03:04:07,678 - mmdet - INFO - Epoch(val) [{e}][5]\tbbox_mAP: {map50(e, n) / 2:.4f}, "
            text += f"bbox_mAP_50: {map50(e, n):.4f}, bbox_mAP_s: -1.0000\n"
    return text


def detr(n: int) -> str:
    return lines(
        [
            {
                "train_lr": 0.0001, "train_loss": 3 / e, "train_loss_ce": cls, "train_loss_bbox": box,
                "train_loss_ce_unscaled": 9.0, "test_loss": 4 / e, "test_coco_eval_bbox": [m / 2, m, *[0.1] * 10],
                "epoch": e - 1, "n_parameters": 41279495,
            }
            for e, box, cls, m in rounds(n)
        ]
    )  # fmt: skip


def huggingface(n: int) -> str:
    history: list[dict[str, Any]] = []
    for e, i, s in steps(n):
        history.append({"epoch": round(s / LENGTH, 2), "learning_rate": 5e-05, "loss": 3 / e, "step": s})
        if i == LENGTH:
            m = map50(e, n)
            history.append(
                {"epoch": float(e), "eval_loss": 4 / e, "eval_map": m / 2, "eval_map_50": m, "step": s}
            )
    history.append({"epoch": float(n), "step": n * LENGTH, "train_loss": 1.5, "train_runtime": 99.0})
    state = {"best_metric": 0.5, "log_history": history, "max_steps": 8 * LENGTH, "num_train_epochs": 8}
    return json.dumps(state, indent=2) + "\n"


def coco_summary(m: float) -> str:
    rows = [
        ("0.50:0.95", "   all", m / 2),
        ("0.50     ", "   all", m),
        ("0.75     ", "   all", m / 3),
        ("0.50:0.95", " small", -1),
    ]
    return "".join(
        f" Average Precision  (AP) @[ IoU={iou} | area={area} | maxDets=100 ] = {value:.3f}\n"
        for iou, area, value in rows
    )


def torchvision_console(n: int) -> str:
    text = "loading annotations into memory...\n"
    for e, i, _ in steps(n):
        text += f"Epoch: [{e - 1}]  [{i - 1:4d}/{LENGTH}]  eta: 0:01:58  lr: 0.005000  loss: {3 / e:.4f} (9.0000)  "
        text += (
            f"loss_classifier: {1 / e:.4f} (9.0)  loss_box_reg: {2 / e:.4f} (9.0)  time: 0.5  max mem: 99\n"
        )
        if i == LENGTH:
            text += (
                "IoU metric: bbox\n" + coco_summary(map50(e, n)) + "IoU metric: segm\n" + coco_summary(0.99)
            )
    return text


def yolox(n: int) -> str:
    head = "2026-01-02 03:04:05.678 | INFO     | yolox.core.trainer:"
    text = f"{head}before_train:130 - args: Namespace(batch_size=4)\n│ num_classes       │ 3        │\n"
    for e, i, _ in steps(n):
        text += f"{head}after_iter:261 - epoch: {e}/8, iter: {i}/{LENGTH}, mem: 980Mb, iter_time: 0.5s, "
        text += (
            f"total_loss: {3 / e:.4f}, iou_loss: {2 / e:.4f}, cls_loss: {1 / e:.4f}, lr: 1.0e-03, size: 640\n"
        )
        if i == LENGTH:
            text += f"{head}evaluate_and_save_model:350 - \n{coco_summary(map50(e, n))}\n"
    return text


def darknet(n: int) -> str:
    text = "yolov4-tiny\nLearning Rate: 0.001, Momentum: 0.9, Decay: 0.0005\n"
    for e, i, s in steps(n):
        text += f"\x1b]2;{s}/{8 * LENGTH}: loss={3 / e:.1f} hours left=1.0\x07\n"
        text += (
            "Region 82 Avg IOU: -nan, Class: -nan, Obj: -nan, No Obj: 0.5, .5R: -nan, .75R: -nan,  count: 0\n"
        )
        text += f" {s}: {9 / e:.6f}, {3 / e:.6f} avg loss, 0.001000 rate, 4.2 seconds, {s * 64} images, "
        text += "0.5 hours left\n"
        if i == LENGTH:
            m = map50(e, n)
            text += " for conf_thresh = 0.25, precision = 0.50, recall = 0.40, F1-score = 0.44 \n"
            text += " for conf_thresh = 0.25, TP = 5, FP = 5, FN = 7, average IoU = 61.50 % \n"
            text += f" mean average precision (mAP@0.50) = {m:.6f}, or {m:.2%} \n"
    return text


def ultralytics_console(n: int) -> str:
    text = "Overriding model.yaml nc=80 with nc=2\nTransferred 319/355 items from pretrained weights\n"
    text += "Starting training for 8 epochs...\n"
    for e, box, cls, m in rounds(n):
        text += "\n      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
        for part, share in ((9.0, 50), (box, 100)):
            text += f"\x1b[K        {e}/8      1.96G {part:10.4f} {cls:10.4f} {0:10.4f}"
            text += f"         12        640: {share}%|##|\r"
        text += "\n                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|##|\n"
        text += (
            f"                   all         24         39        0.5        0.4 {m:10.4f} {m / 2:10.4f}\n"
        )
    text += f"\n{n} epochs completed in 0.010 hours.\nValidating runs/detect/train/weights/best.pt...\n"
    return text + "                   all         24         39       0.99       0.99       0.99       0.99\n"


# ------------------------------------------------------------------------------------------------------------
# TensorBoard


def checksum(data: bytes) -> int:
    """TFRecord's masked CRC-32C, bit by bit: slower than the reader's, and written apart from it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", checksum(length)) + data + struct.pack("<I", checksum(data))


def varint(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def scalar(tag: str, value: float, *, tensor: bool = False) -> bytes:
    """A summary value, as TensorFlow 1 and PyTorch write it, or as a tensor, as TensorFlow 2 does."""
    inner = (
        message(8, b"\x08\x01" + message(4, struct.pack("<f", value)))
        if tensor
        else b"\x15" + struct.pack("<f", value)
    )
    return message(1, message(1, tag.encode()) + inner)


def event(step: int, *values: bytes) -> bytes:
    return record(b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + varint(step) + message(5, b"".join(values)))


VERSION = record(b"\x09" + struct.pack("<d", 1.7e9) + message(3, b"brain.Event:2"))


def tensorboard(n: int) -> bytes:
    made = VERSION
    for e, box, cls, m in rounds(n):
        made += event(
            e - 1, scalar("train/box_loss", box), scalar("train/cls_loss", cls), scalar("x/lr0", 0.01)
        )
        made += event(e - 1, scalar("metrics/mAP_0.5", m), scalar("metrics/mAP_0.5:0.95", m / 2))
        made += event(e - 1, scalar("val/box_loss", 4 / e))
    return made


#: By format: what the file is called, and what makes it.
def wandb_record(data: bytes, place: int) -> bytes:
    """A record of a log of LevelDB, from this place on: in several parts where it does not fit into its block."""
    made = b""
    first = True
    while True:
        left = 32768 - (place + len(made)) % 32768
        if left < 7:
            made += bytes(left)
            continue
        part, data = data[: left - 7], data[left - 7 :]
        kind = (1 if first else 4) if not data else (2 if first else 3)
        made += struct.pack("<IHB", 0, len(part), kind) + part
        first = False
        if not data:
            return made


def wandb(n: int, padding: str = "") -> bytes:
    made = b":W&B\xe1\xbe\x00"
    for e, box, cls, m in rounds(n):
        values = {
            "epoch": e - 1, "train/box_loss": box, "train/cls_loss": cls, "val/loss": 4 / e, "note": padding,
            "metrics/mAP50(B)": m, "metrics/mAP50-95(B)": m / 2,
        }  # fmt: skip
        items = [
            message(1, message(1, k.encode()) + message(16, json.dumps(v).encode()))
            for k, v in values.items()
        ]
        made += wandb_record(message(2, b"".join(items)), len(made))
    return made


def lightning_console(n: int) -> str:
    return "".join(
        f"Epoch {e - 1}:  50%|#####     | 5/10 [00:01<00:01,  9.22it/s, v_num=0, train_loss=9.0]\n"
        f"Epoch {e - 1}: 100%|##########| 10/10 [00:02<00:00,  9.22it/s, v_num=0, train_box_loss={box}, "
        f"train_cls_loss={cls}, val_loss={4 / e}, val_map50={m}, val_map={m / 2}]\n"
        for e, box, cls, m in rounds(n)
    )


SAMPLES: dict[str, tuple[str, Callable[[int], str | bytes]]] = {
    "trainworthy": ("log.jsonl", trainworthy),
    "wandb": ("run-1a2b3c4d.wandb", wandb),
    "lightning_console": ("out.log", lightning_console),
    "tensorboard": ("events.out.tfevents.1700000000.host.1.0", tensorboard),
    "huggingface": ("trainer_state.json", huggingface),
    "mmdetection": ("20260102_030405.log.json", mmdetection),
    "detectron2": ("metrics.json", detectron2),
    "detr": ("log.txt", detr),
    "ultralytics_csv": ("results.csv", ultralytics_csv),
    "yolov5_csv": ("results.csv", yolov5_csv),
    "lightning_csv": ("metrics.csv", lightning_csv),
    "plain_csv": ("history.csv", plain_csv),
    "yolov5_txt": ("results.txt", yolov5_txt),
    "mmdetection_text": ("20260102_030405.log", mmdetection_text),
    "detectron2_text": ("log.txt", detectron2_text),
    "yolox": ("train_log.txt", yolox),
    "darknet": ("train.log", darknet),
    "torchvision_console": ("out.txt", torchvision_console),
    "ultralytics_console": ("output.log", ultralytics_console),
}

#: Formats whose steps are iterations; the others' are epochs.
BY_ITERATION = {"detectron2", "detectron2_text", "darknet"}

#: Formats of which a sample's validation loss is logged.
WITH_VAL_LOSS = {
    "trainworthy", "tensorboard", "huggingface", "detr", "ultralytics_csv", "yolov5_csv", "yolov5_txt",
    "lightning_csv", "plain_csv", "wandb", "lightning_console",
}  # fmt: skip


def sample(form: str, n: int = 4) -> bytes:
    """A log of the format with n epochs."""
    made = SAMPLES[form][1](n)
    return made if isinstance(made, bytes) else made.encode()
