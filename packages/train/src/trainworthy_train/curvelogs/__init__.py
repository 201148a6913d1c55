"""Training logs, one file a format, and the choice between them: `read`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train.curvelogs import detectron2, mmdetection, ours, ultralytics_csv, yolov5_csv
from trainworthy_train.curvelogs.log import Log, LogError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from trainworthy_train.types import Curves

__all__ = ["FORMATS", "LogError", "read"]

#: Each has `TITLE`, `KNOWN_BY`, `sniff(log) -> bool` and `read(log) -> list[Curves]`. The first that fits reads.
FORMATS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (ours, detectron2, mmdetection, ultralytics_csv, yolov5_csv)
}


def read(path: Path | str, columns: Mapping[str, str] | None = None) -> list[Curves]:
    """The runs of a log. Raises `LogError` where there is none."""
    path = Path(path)
    if path.is_dir() and (path / "log.jsonl").is_file():
        path /= "log.jsonl"
    log = Log(path)
    for module in FORMATS.values():
        if module.sniff(log):
            curves: list[Curves] = module.read(log)
            if curves:
                return curves
            raise LogError(
                f"{path} is a log of the format '{module.TITLE}', but there is no point of a curve in it."
            )
    raise LogError(
        f"{path} is none of the logs that are known: {', '.join(m.TITLE for m in FORMATS.values())}."
    )
