"""What the HTML pages share: templates, every text of which is escaped, and a style within each page."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import platformdirs
from blake3 import blake3
from markupsafe import Markup

from trainworthy_audit import formats
from trainworthy_audit.report.shared import groups
from trainworthy_audit.report.shared.groups import count
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from jinja2.bccache import Bucket

CAPTION = 44  # characters of a file name below a small picture


def template(name: str) -> jinja2.Template:
    """A template of this package."""
    return _environment().get_template(name)


def parts(script: str = "") -> dict[str, Any]:
    """What every page is rendered with: the style, a script, and the hash that lets browsers run it."""
    code = asset(script) if script else ""
    return {
        "style": Markup(asset("style.css")),  # noqa: S704 - a file of this package
        "script": Markup(code),  # noqa: S704 - likewise
        "script_hash": base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
        "format_title": formats.title,
        "MARKS": groups.MARKS,
    }


def size(number: float) -> str:
    """'52 kB'."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def asset(name: str) -> str:
    """The text of a file beside the templates."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


class _Compiled(jinja2.FileSystemBytecodeCache):
    """Templates are compiled once, which takes longer than to fill one in; where nothing can be kept, every time."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take compiled code only as it was kept: damaged code would crash the interpreter."""
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            kept = self._file(bucket).read_bytes()
            if kept[:SEAL] == _seal(bucket, kept[SEAL:]):
                bucket.bytecode_from_string(kept[SEAL:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        code = bucket.bytecode_to_string()
        file = self._file(bucket)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = file.with_name(f"{file.name}.{os.getpid()}")
            temporary.write_bytes(_seal(bucket, code) + code)
            temporary.replace(file)

    def _file(self, bucket: Bucket) -> Path:
        return Path(self.directory) / f"{bucket.key}.sealed"


#: Bytes of the digest before compiled code.
SEAL = 32


def _seal(bucket: Bucket, code: bytes) -> bytes:
    """A digest of the code, of the template that it was compiled from, and of what compiled it."""
    made_by = f"{sys.version}\n{jinja2.__version__}\n{bucket.key}\n{bucket.checksum}\n"
    return blake3(made_by.encode() + code).digest()


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainworthy_audit.report"),
        bytecode_cache=_Compiled(str(platformdirs.user_cache_path("trainworthy") / "templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "path": _breakable,
        "short": _short,
        "clean": clean,
        "count": count,
        "number": groups.number,
        "quote": shlex.quote,
        "quoted": groups.quoted,
    }
    return environment


def _short(path: str) -> str:
    """A file's name for a caption: of a long one its beginning and its end."""
    name = clean(path.rsplit("/", 1)[-1])
    return name if len(name) <= CAPTION else f"{name[: CAPTION // 2]}…{name[1 - CAPTION // 2 :]}"


def _breakable(path: str, limit: int) -> Markup:
    """A path that lines may break after its separators."""
    pieces = re.split(r"(?<=[/_.:-])", clean(path, limit))
    return Markup("<bdi>{}</bdi>").format(Markup("<wbr>").join(pieces))
