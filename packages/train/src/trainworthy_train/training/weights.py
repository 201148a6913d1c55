"""A detector's first weights: from a word that its model knows, a file, or a URL.

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
import torch

from trainworthy_train import runs
from trainworthy_train.errors import WeightsError
from trainworthy_train.models.shared.darknet import Darknet
from trainworthy_train.models.shared.darknet_files import anchors_of, load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from trainworthy_train.models import Model

#: How PyTorch's files begin: a zip, or a pickle of protocol 2. Files that begin otherwise are taken for darknet's.
TORCH = (b"PK\x03\x04", b"\x80\x02")

#: Prefixes that wrappers and other trainers put before the names of tensors.
PREFIXES = ("module.", "model.", "net.", "_forward_module.")

#: Where checkpoints of other trainers hold the tensors.
CONTAINERS = ("model", "state_dict", "ema", "module")

#: A file of which fewer of the model's numbers can be used is of another architecture.
MIN_USABLE = 0.5


def load_first_weights(module: nn.Module, model: Model, source: str, classes: Sequence[str]) -> list[str]:
    """Load the first weights of a detector of `classes` from `source`, a word, a path or a URL.

    Returns sentences that say what was loaded and what is new. Raises `WeightsError`.
    """
    others = classes_in(source)
    if others is None or others == list(classes):
        return load(module, model, source)
    # As many labels, but other ones: the layers that tell labels apart would fit by their shape, and be wrong.
    fresh = {name: value.clone() for name, value in module.state_dict().items()}
    notes = load(module, model, source)
    one_more = model.build(len(classes) + 1, model.image_size).state_dict()
    of_labels = {name: value for name, value in fresh.items() if one_more[name].shape != value.shape}
    module.load_state_dict(of_labels, strict=False)
    return [
        *notes,
        f"the file has other labels ({', '.join(others[:6])}): the layers that tell them apart are new",
    ]


def classes_in(source: str) -> list[str] | None:
    """The labels that a file of weights of ours names; None for anything else."""
    try:
        state: Any = (
            torch.load(source, map_location="meta", weights_only=True) if Path(source).is_file() else None
        )
    except Exception:  # noqa: BLE001 - `load` says what is wrong with it
        return None
    ours = isinstance(state, dict) and state.get("schema") == runs.WEIGHTS_SCHEMA
    return list(state["classes"]) if ours else None


def load(module: nn.Module, model: Model, source: str) -> list[str]:
    """Fill `module` from `source`. Returns sentences that say what was loaded and what not. Raises `WeightsError`."""
    if source in model.weights or source == "none":
        return _load_named(module, model, source)
    if urlsplit(source).scheme in ("http", "https"):
        return load_file(module, _download(source), name=source)
    if not Path(source).exists():
        words = ", ".join(dict.fromkeys([*model.weights, "none"]))
        raise WeightsError(
            f"--weights {source}: no such file, and no word that {model.name} knows\n"
            f"  Expected a path, a URL, or one of: {words}."
        )
    return load_file(module, Path(source), name=source)


def _load_named(module: nn.Module, model: Model, word: str) -> list[str]:
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


def load_file(module: nn.Module, file: Path, *, name: str = "") -> list[str]:
    """Fill `module` from a file of PyTorch or darknet, which messages call `name`. Raises `WeightsError`."""
    name = name or str(file)
    try:
        with file.open("rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {name}: {error.strerror or error}") from error
    if start.startswith(TORCH):
        return _load_tensors(module, read_tensors(file, name), name)
    if isinstance(module, Darknet):
        return _load_darknet(module, file, name)
    raise WeightsError(
        f"{name} is no PyTorch file, and this model does not read darknet's\n  It begins with {start.hex(' ')}.",
    )


def read_tensors(file: Path, name: str) -> Mapping[str, Tensor]:
    """The named tensors of a PyTorch file, whether it is a state dict or a checkpoint that holds one."""
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever it meets, from UnpicklingError to RuntimeError
        first_line = str(error).strip().split("\n", 1)[0]
        raise WeightsError(
            f"{name} cannot be read as tensors alone\n  {type(error).__name__}: {first_line[:200]}\n"
            "  Files that hold more than tensors could run code of a stranger; they are not loaded.",
        ) from error
    for key in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = (
        {str(key): value for key, value in content.items() if hasattr(value, "shape")}
        if isinstance(content, dict)
        else {}
    )
    if not tensors:
        raise WeightsError(f"{name} holds no named tensors")
    return tensors


def _load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> list[str]:
    own = module.state_dict()
    renamed = max(
        (_rename(tensors, own, prefix) for prefix in ("", *PREFIXES)),
        key=lambda candidate: len(candidate.keys() & own),
    )
    fitting = {key: value for key, value in renamed.items() if key in own and own[key].shape == value.shape}
    usable = sum(value.numel() for value in fitting.values())
    total = sum(value.numel() for value in own.values())
    if usable < MIN_USABLE * total:
        raise WeightsError(
            f"{name} is of another architecture\n"
            f"  {len(fitting)} of the model's {len(own)} tensors are in it in the same shape; it has {len(tensors)}.",
        )
    with torch.no_grad():
        module.load_state_dict(fitting, strict=False)
    new = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    return [f"weights from {name}", *_describe_new(new)]


def _rename(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with a prefix removed or added, whichever gives more names that the model has."""
    removed = {name.removeprefix(prefix): value for name, value in tensors.items()}
    added = {prefix + name: value for name, value in tensors.items()}
    return max(removed, added, key=lambda candidate: len(candidate.keys() & own.keys()))


def _load_darknet(module: Darknet, file: Path, name: str) -> list[str]:
    """Fill a YOLO, with the anchors of the `.cfg` of the same name beside the file, where there is one."""
    notes = []
    cfg = file.with_suffix(".cfg")
    if cfg.exists():
        module.use_anchors(*anchors_of(cfg))
        notes.append(f"anchors from {cfg}")
    loaded = load_weights(module, file)
    seen = f", trained on {loaded.seen:,} images" if loaded.seen else ""
    return [
        f"{loaded.filled} of {loaded.total} layers from {name}{seen}",
        *notes,
        *_describe_new(list(loaded.new)),
    ]


def _describe_new(names: list[str]) -> list[str]:
    if not names:
        return []
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return [f"new, because the file has none that fit: {listed}"]


def _download(url: str) -> Path:
    """The file at `url`, from the user's cache where it was fetched before."""
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{Path(urlsplit(url).path).name or 'weights'}"
    folder = Path(platformdirs.user_cache_dir("trainworthy")) / "weights"
    if (folder / name).exists():
        return folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=60) as answer,  # noqa: S310 - http and https only: see `load`
            tempfile.NamedTemporaryFile(dir=folder, delete=False) as temporary,
        ):
            try:
                while block := answer.read(1 << 20):
                    temporary.write(block)
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise
        Path(temporary.name).replace(folder / name)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(f"cannot download the weights {url}\n  {error}") from error
    return folder / name
