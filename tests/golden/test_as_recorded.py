"""What users see of datasets, logs and trainings is what it was when it was recorded."""

from __future__ import annotations

import os

import pytest

from golden import cases, records

CASES = cases.every()
MARKED = [pytest.param(name, marks=[pytest.mark.slow] if case.slow else []) for name, case in CASES.items()]

MOST_BYTES = 1_500_000


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> cases.Workshop:
    """Where datasets are made, once for all cases of a session."""
    return cases.Workshop(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", MARKED)
def test_as_recorded(name: str, workshop: cases.Workshop) -> None:
    """A case is seen as its record has it; what differs is said, with the command that records it anew."""
    case = CASES[name]
    if case.needs and not case.needs.exists():
        pytest.skip(f"{os.path.relpath(case.needs, cases.ROOT)} is not beside this checkout")
    told = cases.judged(case, workshop)
    if told:
        pytest.fail(told, pytrace=False)


def test_each_record_has_a_case_and_each_case_a_record() -> None:
    """No record lies there that nothing is compared with, and no case goes without one."""
    there = {
        path.relative_to(records.FOLDER).with_suffix("").as_posix() for path in records.FOLDER.rglob("*.json")
    }
    assert there == set(CASES)


def test_records_are_small_and_of_no_place() -> None:
    """They stay small enough to be read, and name no folder of the machine that recorded them."""
    texts = {path: path.read_text("utf-8") for path in records.FOLDER.rglob("*.json")}
    assert sum(map(len, texts.values())) < MOST_BYTES
    for path, text in texts.items():
        for word in ("/tmp", "/home/", "/root/", "/work/", str(cases.ROOT), "golden-"):
            assert word not in text, (path.name, word)
