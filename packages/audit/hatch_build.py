# ruff: noqa: INP001 - no package: hatchling runs this file
"""Compiles what is in C while the package is built. Where no compiler is, everything works without, only slower."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("src/trainworthy_audit")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Makes what native.py loads: it depends on the platform, not on the version of Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, and say what the wheel then fits."""
        folder = Path(self.root) / PACKAGE
        sources = sorted(folder.glob("*.c"))
        library = folder / f"_native-{zlib.crc32(b''.join(file.read_bytes() for file in sources)):08x}.so"
        for old in folder.glob("_native*.so"):
            old.unlink()
        if not compiled(sources, library):
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(str(PACKAGE / library.name))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def compiled(sources: list[Path], library: Path) -> bool:
    """Whether a compiler was there and has made `library`, which takes its place when it is complete."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        sys.stderr.write("trainworthy: no C compiler; all works without, more slowly\n")
        return False
    made = library.with_name(f"{library.name}.{os.getpid()}")
    flags = ["-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"]
    try:
        command = [*compiler.split(), *flags, "-o", str(made), *map(str, sources)]
        subprocess.run(command, check=True)  # noqa: S603 - the compiler of whoever builds
        made.replace(library)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"trainworthy: what is in C was not compiled: {error}\n")
        return False
    finally:
        made.unlink(missing_ok=True)
    return True
