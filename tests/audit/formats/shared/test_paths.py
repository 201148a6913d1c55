from __future__ import annotations

import pytest

from trainworthy_audit.formats.shared.paths import Resolver, fold, normalise, printable, stem


@pytest.mark.parametrize(
    ("written", "path", "outside"),
    [
        ("train/a.jpg", "train/a.jpg", False),
        ("../train/a.jpg", "train/a.jpg", False),  # relative to labels/
        ("D:\\work\\train\\a.jpg", "train/a.jpg", False),
        ("/content/data/val/a.jpg", "val/a.jpg", False),
        ("a.jpg", None, False),  # fits train and val
        ("B.JPG", "val/b.jpg", False),
        ("Cafe\u0301.jpg", "val/Caf\u00e9.jpg", False),
        ("val/Cafe\u0301.jpg", "val/Caf\u00e9.jpg", False),
        ("ghost.jpg", None, False),
        ("../../ghost.jpg", None, True),
        ("../ghost.jpg", None, False),  # relative to labels/ it stays inside
        ("../../../val/b.jpg", "val/b.jpg", False),
        ("", None, False),
        ("../..", None, True),
    ],
)
def test_written_paths_are_resolved(written: str, path: str | None, outside: bool) -> None:  # noqa: FBT001
    """Relative, Windows, absolute, differently spelt and escaping paths lead to the one file that they can mean."""
    resolver = Resolver(["train/a.jpg", "val/a.jpg", "val/b.jpg", "val/Caf\u00e9.jpg"])
    assert resolver.find(written, ("labels", "")) == (path, outside)


def test_names_that_differ_in_spelling_only_stay_two_files() -> None:
    """Where both spellings of an accent are there, each is found by its own."""
    resolver = Resolver(["e\u0301.jpg", "\u00e9.jpg"])
    assert resolver.find("e\u0301.jpg").path == "e\u0301.jpg"
    assert resolver.find("\u00e9.jpg").path == "\u00e9.jpg"


def test_small_functions_on_paths() -> None:
    """Stems, normal forms and comparisons."""
    assert [stem(path) for path in ("a/b.c.jpg", "b", "a/.hidden", "a.b/c")] == ["b.c", "b", ".hidden", "c"]
    assert [normalise(path) for path in ("a/./b/../c", "../a", "", "a/..")] == ["a/c", None, "", ""]
    assert fold("Straße") == fold("STRASSE")
    assert printable("a\ud800é") == "a\\ud800é"
