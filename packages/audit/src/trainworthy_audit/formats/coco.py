"""COCO."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "COCO"
LOOKED_FOR = ""


def sniff(source: Source, within: str) -> str:
    return ""


def read(source: Source, within: str) -> Dataset:
    raise NotImplementedError
