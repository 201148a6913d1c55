"""Settings come from the right place, and whatever is not understood is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainworthy_audit.config import Config, dump, find, load, show
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "trainworthy.toml"
    file.write_text(text, "utf-8")
    return file


def setting(config: Config, name: str) -> tuple[object, str]:
    return next((one.value, one.origin) for one in config.settings if one.name == name)


def test_defaults_run_every_rule(tmp_path: Path) -> None:
    """Without a file and without options every rule runs, with its own severity and options."""
    config = load(tmp_path)
    assert [rule.code for rule in config.rules()] == list(catalogue())
    rule = catalogue()["B001"]
    assert config.severity_of(rule) == "error"
    assert config.options_of(rule) == {"edge-pixels": 0.5, "edge-fraction": 0.0005}
    assert {one.origin for one in config.settings} == {"default"}


def test_file_is_found_in_the_folder_then_beside_it(tmp_path: Path) -> None:
    """The file inside the dataset wins over the one beside it; a zip has only the one beside it."""
    data = tmp_path / "data"
    data.mkdir()
    assert find(data) is None
    beside = write(tmp_path, "")
    assert find(data) == beside
    assert find(tmp_path / "data.zip") == beside
    inside = write(data, "")
    assert find(data) == inside


def test_command_line_wins_over_file_over_default(tmp_path: Path) -> None:
    """Each value comes from the nearest place that names it, and knows which one that was."""
    file = write(
        tmp_path / "data",
        """
        select = ["B", "N"]
        ignore = ["B002"]
        labels = ["cat"]
        group-regex = "(rec_.)"
        [severity]
        B = "warning"
        B001 = "info"
        [rules.B001]
        edge-pixels = 2
        """,
    )
    config = load(tmp_path / "data", given={"ignore": ["N"]})
    codes = [rule.code for rule in config.rules()]
    assert "B002" in codes
    assert not [code for code in codes if not code.startswith("B")]
    assert config.labels == ("cat",)
    assert config.severity_of(catalogue()["B001"]) == "info"
    assert config.severity_of(catalogue()["B002"]) == "warning"
    assert config.options_of(catalogue()["B001"]) == {"edge-pixels": 2, "edge-fraction": 0.0005}
    assert setting(config, "ignore") == (("N",), "command line")
    assert setting(config, "select") == (("B", "N"), str(file))
    assert setting(config, "format") == ("", "default")
    assert setting(config, "severity.B001") == ("info", str(file))
    assert setting(config, "severity.I001") == ("error", "default")
    assert setting(config, "rules.B001.edge-pixels") == (2, str(file))
    assert setting(config, "rules.B001.edge-fraction") == (0.0005, "default")


def test_all_selects_everything(tmp_path: Path) -> None:
    """ALL stands for every rule, and a severity for ALL gives way to a closer one."""
    file = write(tmp_path, 'select = ["ALL"]\n[severity]\nALL = "info"\nB001 = "error"\n')
    config = load(tmp_path, file=file)
    assert len(config.rules()) == len(catalogue())
    assert config.severity_of(catalogue()["B001"]) == "error"
    assert config.severity_of(catalogue()["I001"]) == "info"
    assert setting(config, "select") == (("ALL",), str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = ['B']", "unknown key 'selct' in {}\n  Did you mean 'select'?"),
        ("group_regex = '(a)'", "unknown key 'group_regex' in {}\n  Did you mean 'group-regex'?"),
        ("select = ['B0O1']", "unknown rule or prefix in select: 'B0O1' in {}\n  Did you mean 'B001'?"),
        ("ignore = ['b001']", "unknown rule or prefix in ignore: 'b001' in {}\n  Did you mean 'B001'?"),
        ("select = ['']", "unknown rule or prefix in select: '' in {}\n  Known: "),
        ("select = 'B'", 'select = "B" in {}\n  Expected a list of strings, such as ["A", "B"].'),
        ("labels = [1]", "labels = [1] in {}\n  Expected a list of strings"),
        ("format = 'vok'", "unknown format 'vok' in {}\n  Did you mean 'voc'?"),
        ("annotations = 3", "annotations = 3 in {}\n  Expected a string."),
        ("severity = 'info'", 'severity = "info" in {}\n  Expected a table, such as [severity].'),
        ("[severity]\nB001 = 'off'", 'severity.B001 = "off" in {}\n  Expected error, warning, info.\n  To sw'),
        ("[severity]\nX = 'info'", "unknown rule or prefix in severity: 'X' in {}"),
        ("[rules.B01]\n", "unknown rule 'B01' in {}\n  Did you mean 'B001'?"),
        ("[rules.box-out-of-bounds]\n", "unknown rule 'box-out-of-bounds' in {}\n  Did you mean 'B001'?"),
        ("[rules]\nB001 = 3", "rules.B001 = 3 in {}\n  Expected a table, such as [rules.B001]."),
        ("[rules.B001]\nedge-pix = 1", "unknown option of B001 'edge-pix' in {}\n  Did you mean 'edge-pixels'?"),
        ("[rules.B001]\nedge-pixels = '1'", 'rules.B001.edge-pixels = "1" in {}\n  Expected a number, such as'),
        ("[rules.B001]\nedge-pixels = true", "rules.B001.edge-pixels = true in {}\n  Expected a number"),
        ("[rules.B001]\nedge-pixels = nan", "rules.B001.edge-pixels = nan in {}\n  Expected a number"),
        ("[rules.B001]\nedge-pixels = -inf", "rules.B001.edge-pixels = -inf in {}\n  Expected a number"),
        ("group-regex = '('", 'group-regex = "(" in {}\n  missing ), unterminated subpattern'),
        ("group-regex = 'rec'", 'group-regex = "rec" in {}\n  it has no group in parentheses'),
        ("group-regex = '(?<=a)(b)'", 'group-regex = "(?<=a)(b)" in {}\n  not supported'),
        ("select = [", "{} is not valid TOML\n  "),
        ("a" * (2**20 + 1), "{} has more than 1,048,576 bytes: it is not a configuration file"),
        ("x = " + "[" * 5000, "{} is not valid TOML\n  "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    """An error names the file, the key, and the nearest thing that exists."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(message.format(file))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for must exist."""
    with pytest.raises(
        ConfigError, match=r"cannot read the configuration .*none\.toml: No such file or directory"
    ):
        load(tmp_path, file=tmp_path / "none.toml")


def test_nothing_left_to_run_is_an_error(tmp_path: Path) -> None:
    """An audit without rules would approve anything, so there is none."""
    with pytest.raises(ConfigError, match="leave no rule to run"):
        load(tmp_path, given={"ignore": ["ALL"]})


def test_settings_are_shown_as_toml_with_their_origin(tmp_path: Path) -> None:
    """What is shown can be pasted into a file, and says where it came from."""
    file = write(tmp_path / "data", "labels = ['a \"b\"']\n[rules.B001]\nedge-pixels = 3.5\n")
    shown = show(load(tmp_path / "data", given={"select": ["B"]}))
    rows = {line.split(" = ")[0]: line.split("  # ")[1] for line in shown.splitlines()}
    assert rows["select"] == "command line"
    assert rows["rules.B001.edge-pixels"] == rows["labels"] == str(file)
    assert 'labels = ["a \\"b\\""]' in shown
    assert "rules.B001.edge-pixels = 3.5" in shown
    assert rows["rules.B001.edge-fraction"] == "default"


def test_written_settings_are_read_back(tmp_path: Path) -> None:
    """The text of a configuration gives the configuration again, for every rule's own example."""
    for rule in catalogue().values():
        fields = dict(rule.dirty.settings)
        config = load(tmp_path, file=write(tmp_path, dump(fields)))
        for name, value in fields.items():
            expected = (
                str(tmp_path / value) if name in {"known_hashes", "probe"} else value
            )  # beside the configuration
            assert getattr(config, name) == expected, rule.code
