"""A trainer that is not ours: writes results.csv as ultralytics does, row by row, each in two pieces.

`python foreign_trainer.py FOLDER EPOCHS SHAPE [SECONDS]`: SHAPE is "good", "overtraining" or "nothing" (no log);
"signal" ends on SIGINT with exit code 7. SECONDS is how long an epoch takes.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from pathlib import Path

COLUMNS = (
    "epoch,train/box_loss,train/cls_loss,metrics/precision(B),metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),"
    "val/box_loss,val/cls_loss,lr/pg0"
)


def row(epoch: int, shape: str) -> str:
    """The row of an epoch."""
    loss = 2 * math.exp(-epoch / 8) + 0.3
    score = 0.7 * (1 - math.exp(-epoch / 3)) + 0.004 * math.sin(epoch * 5)
    validation = loss + 0.1
    if shape == "overtraining" and epoch > 10:
        score *= math.exp((10 - epoch) / 20)
        validation = 0.9 + 0.12 * (epoch - 10)
    cells = (loss, loss, score, score, score, score * 0.6, validation, validation, 0.01)
    return f"{epoch}," + ",".join(f"{cell:.5f}" for cell in cells) + "\n"


def main(folder: str, epochs: str, shape: str, seconds: str = "0") -> None:
    """Train."""
    for stream, text in ((sys.stdout, f"{epochs} epochs"), (sys.stderr, "a warning")):
        stream.write(f"trainer: {text}\n")
        stream.flush()
    if shape == "signal":
        signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
    if shape == "nothing":
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / "results.csv").open("w") as file:
        file.write(COLUMNS + "\n")
        for epoch in range(1, int(epochs) + 1):
            text = row(epoch, shape)
            for piece in (text[:33], text[33:]):
                file.write(piece)
                file.flush()
                time.sleep(float(seconds) / 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
