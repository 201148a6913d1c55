"""What an unfinished probe has done, kept until it is finished."""

from __future__ import annotations

import contextlib
import io
import shutil
from typing import TYPE_CHECKING, Any

import platformdirs
import torch
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def work_folder(*what: object) -> Iterator[Path]:
    """A folder in the user's cache for a probe of `what`; it stays where the probe does not end."""
    key = blake3(repr(what).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    folder = platformdirs.user_cache_path("trainworthy") / "probes" / key
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def load(file: Path) -> Any:  # noqa: ANN401 - what `save` wrote
    """What `save` wrote; None where there is nothing, or it is not whole."""
    try:
        data = file.read_bytes()
        if blake3(data[32:]).digest() != data[:32]:
            return None
        return torch.load(io.BytesIO(data[32:]), weights_only=True)
    except OSError:
        return None


def save(file: Path, value: object) -> None:
    """Keep tensors, numbers, and dicts and lists of them. What cannot be kept costs only time."""
    content = io.BytesIO()
    torch.save(value, content)
    with contextlib.suppress(OSError):
        temporary = file.with_suffix(".writing")
        temporary.write_bytes(blake3(content.getvalue()).digest() + content.getvalue())
        temporary.replace(file)
