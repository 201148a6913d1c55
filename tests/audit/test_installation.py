"""Hints that name an installation say what works from where the user stands."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from support.helpers import ROOT
from trainworthy_audit import installation


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout at CHECKOUT, an environment at ENVIRONMENT that was installed from it, and another current folder."""
    (tmp_path / "checkout/packages/audit").mkdir(parents=True)
    (tmp_path / "checkout/packages/audit/pyproject.toml").touch()
    (tmp_path / "environment").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    installed_from(monkeypatch, (tmp_path / "checkout/packages/audit").as_uri())
    return tmp_path


def installed_from(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    """Python's metadata says that the package was installed from `url`; None for an index."""

    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if url is None else json.dumps({"url": url})

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Distribution())


def test_in_the_environment_of_a_checkout() -> None:
    """These tests run in one: `uv run --group` brings what is missing, and each group is one of the workspace."""
    assert installation.checkout() == ROOT
    assert installation.how_to_install("browse", "trainworthy browse data") == (
        "uv run --group browse trainworthy browse data"
    )
    import tomllib

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for need in ("browse", "ray", "remote", "train", "export"):
        assert installation.how_to_install(need, "x").split()[3] in groups  # type: ignore[arg-type]


def test_installed_by_uv_tool_from_a_checkout(elsewhere: Path) -> None:
    """The same tool installation, with the extra or with the training package beside it."""
    (elsewhere / "environment/uv-receipt.toml").touch()
    root = elsewhere / "checkout"
    assert installation.how_to_install("browse", "trainworthy browse data") == (
        f"uv tool install --reinstall '{root}/packages/audit[browse]'"
    )
    assert installation.how_to_install("train", "trainworthy train data") == (
        f"uv tool install --reinstall {root}/packages/audit --with {root}/packages/train"
    )


def test_installed_by_pip_from_a_checkout(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip where the environment has it, else uv for this environment; paths are short from inside the checkout."""
    monkeypatch.chdir(elsewhere / "checkout")
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda _: object())
    assert installation.how_to_install("remote", "x") == "pip install './packages/audit[remote]'"
    assert installation.how_to_install("export", "x") == (
        "pip install ./packages/audit './packages/train[export]'"
    )
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda _: None)
    environment = elsewhere / "environment"
    assert installation.how_to_install("train", "x") == (
        f"uv pip install --python {environment} ./packages/audit ./packages/train"
    )


@pytest.mark.parametrize("url", [None, "https://example.org/trainworthy.whl", "file:///gone/packages/audit"])
@pytest.mark.usefixtures("elsewhere")
def test_installed_from_elsewhere(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an index, a wheel or a checkout that is gone: pip and the package's name."""
    installed_from(monkeypatch, url)
    assert installation.checkout() is None
    assert installation.how_to_install("browse", "x") == "pip install 'trainworthy-audit[browse]'"
    assert installation.how_to_install("train", "x") == "pip install trainworthy-train"
