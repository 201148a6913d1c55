"""The two wheels, as they are built and installed without this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import trainworthy_audit
from support.helpers import ROOT

UV = shutil.which("uv")
PACKAGES = ("audit", "train")


def uv(*arguments: str | Path, cwd: Path) -> str:
    """The output of uv; what goes wrong is in the failure."""
    assert UV
    environment = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}
    }
    done = subprocess.run(
        [UV, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{package: its wheel}, built by way of the source distribution, as for an index."""
    if UV is None:
        pytest.skip("uv is not installed")
    out = tmp_path_factory.mktemp("dist")
    for package in PACKAGES:
        uv("build", "--out-dir", out, ROOT / "packages" / package, cwd=out)
    return {package: next(out.glob(f"trainworthy_{package}-*.whl")) for package in PACKAGES}


def metadata(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_metadata_is_complete(wheels: dict[str, Path], package: str) -> None:
    """A wheel has authors, licence, classifiers, keywords, and a readme of more than a line."""
    found = metadata(wheels[package])
    assert found["Author"] == "The trainworthy authors"
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Version"] == trainworthy_audit.__version__
    assert found["Keywords"]
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert len(found.get_payload().splitlines()) > 5
    with zipfile.ZipFile(wheels[package]) as archive:
        licence = next(name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.slow
def test_training_is_pinned_to_its_own_audit(wheels: dict[str, Path]) -> None:
    """trainworthy-train wants exactly the trainworthy-audit that it was built beside."""
    wanted = metadata(wheels["train"]).get_all("Requires-Dist", [])
    assert f"trainworthy-audit=={trainworthy_audit.__version__}" in wanted


def test_version_stands_in_one_place() -> None:
    """No file repeats the version but CITATION.cff, which says the same."""
    version = re.escape(trainworthy_audit.__version__)
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: {version}$", citation, flags=re.MULTILINE)
    for package in PACKAGES:
        project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]
        assert "version" not in project
        assert "version" in project["dynamic"]
    sources = ROOT.glob("packages/*/src/**/*.py")
    assert [path.parent.name for path in sources if re.search(rf'"{version}"', path.read_text())] == [
        "trainworthy_audit"
    ]


@pytest.fixture(scope="module")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exact versions that everyone here works with, as a file."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    file = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    file.write_text("\n".join(wanted))
    return file


def bare(folder: Path, constraints: Path, *wheels: Path) -> Path:
    """The `bin` of a new environment that holds these wheels, what they need, and nothing else."""
    uv("venv", "--quiet", folder / "venv", cwd=folder)
    binaries = folder / "venv" / "bin"
    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        binaries / "python",
        "--constraint",
        constraints,
        *wheels,
        cwd=folder,
    )
    return binaries


def run(folder: Path, *command: str | Path, code: int = 0) -> str:
    """What a command in `folder` prints, which ends with `code`; other tests' environment is none of its."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


@pytest.mark.slow
def test_audit_alone_runs_in_a_bare_environment(
    wheels: dict[str, Path], constraints: Path, tmp_path: Path
) -> None:
    """The demo runs with the wheel of the audit alone, and training is said to be missing."""
    binaries = bare(tmp_path, constraints, wheels["audit"])
    assert "reports/demo/index.html" in run(tmp_path, binaries / "trainworthy", "demo")
    assert (tmp_path / "reports/demo/index.html").exists()
    assert "trainworthy-train" in run(tmp_path, binaries / "trainworthy", "train", "data", code=2)


@pytest.mark.slow
def test_both_wheels_run_in_a_bare_environment(
    wheels: dict[str, Path], constraints: Path, tmp_path: Path
) -> None:
    """With both wheels `trainworthy train` is there, and its help needs no torch."""
    binaries = bare(tmp_path, constraints, *wheels.values())
    assert "--epochs" in run(tmp_path, binaries / "trainworthy", "train", "--help")
    assert "LOG" in run(tmp_path, binaries / "trainworthy", "diagnose", "--help")
