from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import object_store
from support.command import run
from support.helpers import write
from support.object_store import Bucket, Gate, silent, slow, status
from trainworthy_audit import auditing
from trainworthy_audit.errors import ConfigError, UnreachableError
from trainworthy_audit.measure.engines import local
from trainworthy_audit.source import open_source, outage, remote
from trainworthy_audit.source.remote import Url
from trainworthy_audit.types import Box, Example, Picture

CAT = Box("cat", 10, 10, 60, 60)
SOUND = Example(
    (Picture("a.jpg", scene=1, boxes=(CAT,)), Picture("b.jpg", scene=2, boxes=(CAT,))),
)

#: Seconds that requests are tried again in these tests.
PATIENCE = 0.3

FAULTS = {
    "broken": status(500),
    "overloaded": status(503, "SlowDown"),
    "throttled": status(429),
    "expired": status(400, "ExpiredToken"),
}


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[str, Any]]:
    """An S3-compatible server of this process, and a client of it."""
    with object_store.server() as made:
        yield made


@pytest.fixture
def gate(behind: tuple[str, Any]) -> Iterator[Gate]:
    """The way to the server, which can be made to fail; the environment leads there."""
    made = Gate(behind[0])
    limits = {"AWS_READ_TIMEOUT": "10 s", "AWS_TIMEOUT": "20 s", outage.RETRY: str(PATIENCE)}
    with object_store.environment(made.endpoint, **limits):
        yield made
    made.close()


@pytest.fixture
def dataset(behind: tuple[str, Any], gate: Gate, workplace: Path) -> Url:
    """A sound dataset in a bucket of its own; the current folder is empty."""
    bucket = Bucket(behind[1], f"bucket-{abs(hash(workplace))}")
    return bucket.upload(write(SOUND, workplace / "made"))


def audit(url: Url, *words: object) -> Any:
    """The result of auditing it with one process."""
    return run("audit", url, "--workers", 1, *words)


def findings(workplace: Path) -> list[str]:
    """The codes of what the last audit found."""
    report = json.loads((workplace / "reports/data/audit.json").read_text())
    return [finding["rule"] for finding in report["findings"]]


# ------------------------------------------------------------------------------------------------------------
# An outage is no verdict, and is not remembered


@pytest.mark.parametrize("on", ["list-type", ".txt", ".jpg"], ids=["listing", "labels", "images"])
@pytest.mark.parametrize("fault", FAULTS)
def test_outage_ends_with_exit_code_2_and_is_forgotten(
    dataset: Url, gate: Gate, workplace: Path, fault: str, on: str
) -> None:
    """Whatever fails, there is one message and no report; the next audit, with the same cache, is that of a folder."""
    gate.break_down(FAULTS[fault], on)
    failed = audit(dataset)
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert failed.stderr.startswith(f"error: cannot {'list' if on == 'list-type' else 'read'} {dataset}")
    assert f"({outage.RETRY}=SECONDS)" in failed.stderr
    assert failed.stderr.endswith(f"next: trainworthy audit {dataset} --workers 1\n")
    assert not (workplace / "reports").exists()
    gate.mend()
    assert audit(dataset).exit_code == 0
    assert not {"A001", "A003", "I001"} & set(findings(workplace))


@pytest.mark.parametrize("kept", [(), ("--measurements", "kept")], ids=["sqlite", "parquet"])
def test_outage_in_the_midst_leaves_a_store_that_can_be_used(
    dataset: Url, gate: Gate, workplace: Path, kept: tuple[str, ...]
) -> None:
    """What could not be read is measured the next time, with either kind of store."""
    gate.mend()
    assert audit(dataset, *kept).exit_code == 0
    assert "I001" not in findings(workplace)


def test_refused_connection_is_an_outage(dataset: Url, gate: Gate) -> None:
    """A server that is gone is no missing dataset: the message says that there is no connection."""
    gate.close()
    failed = audit(dataset)
    assert failed.exit_code == 2
    assert "no connection" in failed.stderr
    assert f"cannot list {dataset}" in failed.stderr


def test_server_that_says_nothing_is_an_outage(
    dataset: Url, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes a request and never answers is given up after AWS_READ_TIMEOUT, which the message names."""
    monkeypatch.setenv("AWS_READ_TIMEOUT", "300 ms")
    gate.break_down(silent(1.0))
    failed = audit(dataset)
    assert failed.exit_code == 2
    assert "timed out" in failed.stderr
    assert "be silent for 300 ms (AWS_READ_TIMEOUT)" in failed.stderr


def test_zip_in_a_bucket_meets_an_outage(
    dataset: Url, gate: Gate, behind: tuple[str, Any], workplace: Path
) -> None:
    """A zip that cannot be reached is not called damaged, neither when it is opened nor when a member is read."""
    bucket = Bucket(behind[1], f"zips-{abs(hash(workplace))}")
    packed = shutil.make_archive(str(workplace / "z"), "zip", workplace / "made")
    bucket.put("data.zip", Path(packed).read_bytes())
    gate.break_down(status(503), "data.zip")
    failed = audit(Url(f"{bucket.url}/data.zip"))
    assert failed.exit_code == 2
    assert "the store does not answer as it should" in failed.stderr
    gate.mend()
    source = open_source(Url(f"{bucket.url}/data.zip"))
    gate.break_down(status(503), "data.zip")
    with pytest.raises(UnreachableError):
        remote.open_file(source.entries[source.images()[0]].locator.file)


def test_verify_says_nothing_of_a_dataset_that_it_cannot_read(dataset: Url, gate: Gate) -> None:
    """An outage while a certificate is checked is exit code 2, not "changed since"."""
    assert audit(dataset).exit_code == 0
    for on in (".txt", ".jpg"):
        gate.break_down(status(503), on)
        failed = run("verify", dataset)
        assert failed.exit_code == 2
        assert "changed" not in failed.stderr
    gate.mend()
    assert run("verify", dataset).exit_code == 0


# ------------------------------------------------------------------------------------------------------------
# A single object


@pytest.mark.parametrize(("number", "why"), [(404, "No such file or directory"), (403, "AccessDenied")])
def test_single_object_that_is_withheld_is_a_finding(
    dataset: Url, gate: Gate, workplace: Path, number: int, why: str
) -> None:
    """404 and 403 of one image are I001, of one label A001; neither is remembered once the object is there."""
    gate.break_down(status(number, "AccessDenied" if number == 403 else "NoSuchKey"), "b.jpg")
    found = audit(dataset)
    assert (found.exit_code, found.stderr) == (1, "")
    assert "I001" in findings(workplace)
    report = json.loads((workplace / "reports/data/audit.json").read_text())
    assert why in next(one["message"] for one in report["findings"] if one["rule"] == "I001")
    gate.break_down(gate.fault or status(404), "b.txt")
    assert audit(dataset).exit_code == 1
    assert "A001" in findings(workplace)
    gate.mend()
    assert audit(dataset).exit_code == 0


def test_label_that_was_withheld_only_while_it_was_parsed_is_not_remembered(
    dataset: Url, gate: Gate, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is read a moment later and succeeds: the evidence that lacks it must not be kept all the same."""
    digests = auditing.content_digests

    def once_it_is_there(*args: Any) -> dict[str, str]:
        gate.mend()
        return digests(*args)

    monkeypatch.setattr(auditing, "content_digests", once_it_is_there)
    gate.break_down(status(403, "AccessDenied"), "b.txt")
    assert audit(dataset).exit_code == 1
    assert "A001" in findings(workplace)
    assert audit(dataset).exit_code == 0


# ------------------------------------------------------------------------------------------------------------
# How long is waited


def test_requests_are_tried_again_for_as_long_as_is_said(
    dataset: Url, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts go on for TRAINWORTHY_RETRY_SECONDS, with pauses; a failure that passes within it costs nothing."""
    monkeypatch.setenv(outage.RETRY, "1")
    remote._files.cache_clear()
    gate.break_down(status(503), ".txt")
    source = open_source(dataset)
    label = next(path for path in source.entries if path.endswith("a.txt"))
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        source.read(label)
    assert 0.5 <= time.monotonic() - began < 5
    gate.break_down(
        lambda handler: status(503)(handler) if len(gate.times) < 3 else handler.pass_on(), ".txt"
    )
    assert source.read(label)


def test_defaults_are_about_a_minute() -> None:
    """By default there are pauses of up to ten seconds, for a minute in all; 0 seconds mean one attempt."""
    config = outage.retry_config()
    assert config["retry_timeout"].total_seconds() + outage.LONGEST_PAUSE == pytest.approx(65)
    assert config["backoff"]["init_backoff"].total_seconds() == 0.5
    assert config["backoff"]["max_backoff"].total_seconds() == 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(outage.RETRY, "0")
        assert outage.retry_config()["max_retries"] == 0


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_seconds_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """TRAINWORTHY_RETRY_SECONDS must be a number of seconds."""
    monkeypatch.setenv(outage.RETRY, text)
    with pytest.raises(ConfigError, match=f"{outage.RETRY}={text}"):
        outage.retry_config()


def test_slow_object_is_read_and_its_limit_is_said_where_it_is_not(
    dataset: Url, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object may take longer than the pause between two pieces; AWS_TIMEOUT bounds the whole, and is named."""
    source = open_source(dataset)
    image = source.images()[0]
    gate.break_down(slow(0.1, 5), ".jpg")
    assert len(remote.read(source.entries[image].locator.file)) == source.entries[image].size
    monkeypatch.setenv("AWS_TIMEOUT", "200 ms")
    monkeypatch.setenv(outage.RETRY, "0")
    remote._files.cache_clear()
    with pytest.raises(UnreachableError, match=r"(?s)timed out.*may last 200 ms \(AWS_TIMEOUT\)"):
        remote.read(source.entries[image].locator.file)


def test_slow_object_is_no_decoder_that_hangs(
    dataset: Url, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image whose bytes take longer than an image may take to decode is measured all the same."""
    monkeypatch.setattr(local, "TIMEOUT", 2.0)
    monkeypatch.setattr(local.Engine.__init__, "__defaults__", (0, 2.0, local.MEMORY))
    gate.break_down(slow(0.9, 4), "a.jpg")
    assert audit(dataset).exit_code == 0


def test_limits_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of requests is not replaced; what it does not say is set."""
    monkeypatch.setenv("GOOGLE_TIMEOUT", "7 s")
    monkeypatch.setenv("GOOGLE_READ_TIMEOUT", "")
    monkeypatch.delenv("GOOGLE_READ_TIMEOUT")
    outage.set_limits("gs")
    assert (os.environ["GOOGLE_TIMEOUT"], os.environ["GOOGLE_READ_TIMEOUT"]) == ("7 s", "30 s")
