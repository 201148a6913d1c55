"""A short run of the fuzz harness; `PYTHONPATH=tests python -m fuzz` runs as many inputs as there is time for."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random

import pytest

from fuzz import harness
from fuzz.mutations import CHANGES

#: How many inputs are run, or as many as are done in so many seconds on a busy machine.
INPUTS, SECONDS = 24, 8.0


def test_random_inputs_end_with_a_documented_exit_code() -> None:
    """Whatever stands in a file, a command ends with 0, 1 or 2, without an internal error, and changes no input."""
    began = time.monotonic()
    for number in range(INPUTS):
        outcome = harness.run_input(number)
        assert not outcome.faults, (number, outcome.words, outcome.faults, outcome.output)
        if time.monotonic() - began > SECONDS:
            break


@pytest.mark.parametrize("form", harness.FORMATS)
def test_the_inputs_are_sound_before_they_are_changed(form: str) -> None:
    """A dataset of each format has pictures and labels of its own, so that changes of them are what is tried."""
    files = harness.base(form)
    assert sum(path.endswith((".jpg", ".png")) for path in files) == 3
    assert any(path.endswith((".txt", ".xml", ".json")) for path in files)


def test_an_input_follows_from_its_number() -> None:
    """The same number makes the same bytes, so that a failure can be repeated."""
    for change in CHANGES:
        assert change(b'{"a": [1, 2.5], "b": "c"}\n', Random(5)) == change(
            b'{"a": [1, 2.5], "b": "c"}\n', Random(5)
        )


def test_a_command_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness reports an internal error, a command that hangs, and an input that was changed."""

    def break_in(*_: object, **__: object) -> None:
        for path in Path("in").rglob("*.*"):
            if path.is_file():
                path.write_bytes(b"changed")
        raise harness.HungError

    monkeypatch.setattr("trainworthy_audit.api.audit", break_in)
    number = next(filter(_audits_a_folder, range(1000)))
    assert set(harness.run_input(number).faults) >= {"internal error", "HungError", "the input was changed"}


def _audits_a_folder(number: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        words = harness.make_input(number, Path(folder))
    return words == ["audit", "--workers", "1", "in/data"]
