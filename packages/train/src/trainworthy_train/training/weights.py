"""Where a detector's first weights come from: a word that its model knows, a file, or an address.

Nothing in a file is ever executed: PyTorch files are read with `weights_only`, darknet's are plain numbers.
"""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import platformdirs

from trainworthy_train.models._yolo import Darknet, WeightsError, anchors_of, load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from trainworthy_train.models import Model

#: How PyTorch's files begin: a zip, or a pickle of protocol 2. What begins otherwise is taken for darknet's.
TORCH = (b"PK\x03\x04", b"\x80\x02")

#: Prefixes that wrappers and other trainers put before the names of tensors.
PREFIXES = ("module.", "model.", "net.", "_forward_module.")

#: A file of which fewer of the model's numbers can be used is of another architecture.
LEAST = 0.5


def load(module: nn.Module, model: Model, given: str) -> list[str]:
    """Fill `module` from `given`: a word, a path or a URL. Returns sentences that say what was loaded and what not.

    Raises `WeightsError`.
    """
    if given in model.weights or given == "none":
        return _by_word(module, model, given)
    if urlsplit(given).scheme in ("http", "https"):
        return load_file(module, _downloaded(given), said=given)
    if not Path(given).exists():
        words = ", ".join(dict.fromkeys([*model.weights, "none"]))
        raise WeightsError(
            f"--weights {given}: no such file, and no word that {model.name} knows\n"
            f"  Expected a path, a URL, or one of: {words}."
        )
    return load_file(module, Path(given), said=given)


def _by_word(module: nn.Module, model: Model, word: str) -> list[str]:
    if word == "none":
        return [f"{model.name} starts from random weights"]
    try:
        return model.load(module, word)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(
            f"cannot fetch the {word} weights of {model.name}: {error}\n"
            "  They are downloaded from their publisher. Without a network, give a file.",
            next_step="trainworthy train DATASET --weights PATH",
        ) from error


def load_file(module: nn.Module, file: Path, *, said: str = "") -> list[str]:
    """Fill `module` from a file of PyTorch or darknet. Returns what there is to say. Raises `WeightsError`."""
    said = said or str(file)
    try:
        with file.open("rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {said}: {error.strerror or error}") from error
    if start.startswith(TORCH):
        return _load_tensors(module, tensors_of(file, said), said)
    if isinstance(module, Darknet):
        return _load_darknet(module, file, said)
    raise WeightsError(
        f"{said} is no PyTorch file, and this model does not read darknet's\n  It begins with {start.hex(' ')}.",
    )


def tensors_of(file: Path, said: str) -> Mapping[str, Tensor]:
    """The named tensors of a PyTorch file, whether it is a state dict or a checkpoint that holds one."""
    import torch

    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever it meets, from UnpicklingError to RuntimeError
        first = str(error).strip().split("\n", 1)[0]
        raise WeightsError(
            f"{said} cannot be read as tensors alone\n  {type(error).__name__}: {first[:200]}\n"
            "  Files that hold more than tensors could run code of a stranger; they are not loaded.",
        ) from error
    for key in ("model", "state_dict", "ema", "module"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = (
        {str(name): value for name, value in found.items() if hasattr(value, "shape")}
        if isinstance(found, dict)
        else {}
    )
    if not tensors:
        raise WeightsError(f"{said} holds no named tensors")
    return tensors


def _load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], said: str) -> list[str]:
    import torch

    own = module.state_dict()
    renamed = max(
        (_renamed(tensors, own, prefix) for prefix in ("", *PREFIXES)),
        key=lambda each: len(each.keys() & own),
    )
    fitting = {
        name: value for name, value in renamed.items() if name in own and own[name].shape == value.shape
    }
    usable = sum(value.numel() for name, value in fitting.items())
    total = sum(value.numel() for value in own.values())
    if usable < LEAST * total:
        raise WeightsError(
            f"{said} is of another architecture\n"
            f"  {len(fitting)} of the model's {len(own)} tensors are in it in the same shape; it has {len(tensors)}.",
        )
    with torch.no_grad():
        module.load_state_dict(fitting, strict=False)
    left = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    return [f"weights from {said}", *_said_of_new(left)]


def _renamed(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with a prefix taken off, or put before, whichever gives names that the model has."""
    off = {name.removeprefix(prefix): value for name, value in tensors.items()}
    on = {prefix + name: value for name, value in tensors.items()}
    return max(off, on, key=lambda each: len(each.keys() & own.keys()))


def _load_darknet(module: Darknet, file: Path, said: str) -> list[str]:
    """With the anchors of the `.cfg` of the same name beside the file, where there is one."""
    notes = []
    cfg = file.with_suffix(".cfg")
    if cfg.exists():
        module.use_anchors(*anchors_of(cfg))
        notes.append(f"anchors from {cfg}")
    loaded = load_weights(module, file)
    seen = f", trained on {loaded.seen:,} images" if loaded.seen else ""
    return [
        f"{loaded.layers} of {loaded.of} layers from {said}{seen}",
        *notes,
        *_said_of_new(list(loaded.replaced)),
    ]


def _said_of_new(names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return [f"new, because the file has none that fit: {shown}"]


def _downloaded(address: str) -> Path:
    """The file at `address`, from the user's cache where it was fetched before."""
    name = f"{hashlib.sha256(address.encode()).hexdigest()[:12]}-{Path(urlsplit(address).path).name or 'weights'}"
    folder = Path(platformdirs.user_cache_dir("trainworthy")) / "weights"
    if (folder / name).exists():
        return folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(address, timeout=60) as answer,  # noqa: S310 - http and https only: see `load`
            tempfile.NamedTemporaryFile(dir=folder, delete=False) as half,
        ):
            try:
                while block := answer.read(1 << 20):
                    half.write(block)
            except BaseException:
                Path(half.name).unlink(missing_ok=True)
                raise
        Path(half.name).replace(folder / name)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(f"cannot download the weights {address}\n  {error}") from error
    return folder / name
