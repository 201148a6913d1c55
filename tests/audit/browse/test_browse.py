"""The FiftyOne App for real: its database, its server, and a browser. The user's own FiftyOne is not touched."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.browser import needs_chromium
from support.command import run
from support.helpers import run_audit, write
from support.reports import render
from trainworthy_audit import waivers
from trainworthy_audit.browse import connection, decisions, launcher, places, publishing, views
from trainworthy_audit.errors import BrowseError
from trainworthy_audit.source import open_source
from trainworthy_audit.types import AuditResult, Box, Example, Picture

MONGOD = importlib.util.find_spec("fiftyone") and (
    Path(importlib.util.find_spec("fiftyone").submodule_search_locations[0]) / "db/bin/mongod"  # type: ignore[union-attr, index]
)

real_fiftyone = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MONGOD and MONGOD.exists()), reason="FiftyOne or its MongoDB is not installed"),
    # what FiftyOne's own dependencies say while they are imported and used
    pytest.mark.filterwarnings("ignore::DeprecationWarning:glob2"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Passing a class to strawberry:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:connections\\(\\) is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:No uuidRepresentation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]


def marked(test: Any) -> Any:
    for mark in real_fiftyone:
        test = mark(test)
    return test


CAT = Box("cat", 20, 30, 80, 90)
BEYOND = Box("dog", 100, 40, 190, 100)
NAMES = ["clean.jpg", "copy.jpg", "cut.jpg", "späte #1 %20.jpg", "torn.jpg"]
EXAMPLE = Example(
    (
        Picture("clean.jpg", scene=1, boxes=(CAT,)),
        Picture("copy.jpg", scene=1, boxes=(CAT,), like="clean.jpg", split="val"),
        Picture("cut.jpg", scene=2, boxes=(CAT, BEYOND)),
        Picture("späte #1 %20.jpg", scene=3, boxes=(BEYOND,), split="val"),
        Picture("torn.jpg", scene=4, boxes=(CAT,), mangle=lambda data: data[: len(data) // 2]),
    )
)
SELECT = ("B001", "I002", "D001")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def fo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """FiftyOne on a database of its own, which ends with the module."""
    home = tmp_path_factory.mktemp("fiftyone")
    (home / "db").mkdir()
    port = free_port()
    assert MONGOD
    place = ["--dbpath", home / "db", "--logpath", home / "mongod.log", "--nounixsocket"]
    mongod = subprocess.Popen(list(map(str, [MONGOD, *place, "--bind_ip", "127.0.0.1", "--port", port])))
    settings = {
        "FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=20000",
        "FIFTYONE_DATABASE_NAME": "trainworthy-tests",
        "FIFTYONE_DEFAULT_DATASET_DIR": str(home / "media"),
        "FIFTYONE_CONFIG_PATH": str(home / "config.json"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setattr(connection, "TIMEOUT", 20)  # the database is still starting
        yield connection.connect()
    mongod.terminate()
    mongod.wait()


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The example dataset, in a folder named as the test."""
    return write(EXAMPLE, tmp_path / request.node.name)


def publish(fo: Any, folder: Path, audit: AuditResult | None = None) -> publishing.Published:
    made = audit or run_audit(folder, select=SELECT)
    return publishing.publish(made, open_source(folder), places.media_folder(fo, made.name), fo)


def by_name(dataset: Any) -> dict[str, Any]:
    return {Path(sample.path).name: sample for sample in dataset if sample.path}


# ------------------------------------------------------------------------------------------------------------
# What is put into FiftyOne


@marked
def test_a_dataset_is_published(fo: Any, folder: Path) -> None:
    """Every image is a sample with its metadata, splits and findings as tags, and its boxes with theirs."""
    done = publish(fo, folder)
    dataset = fo.load_dataset(done.name)
    found = by_name(dataset)
    assert (done.images, done.added, done.removed, len(dataset)) == (5, 5, 0, 5)
    assert sorted(found) == NAMES
    cut = found["cut.jpg"]
    assert cut.filepath == str(folder / "images/train/cut.jpg")
    assert cut.tags == ["train", "B001"]
    assert (cut.metadata.width, cut.metadata.height, cut.metadata.mime_type) == (160, 120, "image/jpeg")
    assert [(box.label, box.findings, box.tags) for box in cut.ground_truth.detections] == [
        ("cat", [], []),
        ("dog", ["B001"], ["B001"]),
    ]
    assert found["torn.jpg"].damage.startswith("damaged: ")
    assert found["clean.jpg"].duplicate_group == found["copy.jpg"].duplicate_group is not None
    assert dataset.info["made_by"] == "trainworthy"
    assert dataset.persistent


@marked
def test_saved_views_show_what_they_say(fo: Any, folder: Path) -> None:
    """A view a rule with the boxes at fault alone, one of what blocks, one of the damaged, one of the copies."""
    dataset = fo.load_dataset(publish(fo, folder).name)
    shown = {
        name: sorted(Path(path).name for path in dataset.load_saved_view(name).values("path"))
        for name in dataset.list_saved_views()
        if name != views.COPIES
    }
    assert shown == {
        "everything that blocks": ["cut.jpg", "späte #1 %20.jpg", "torn.jpg"],
        "B001 box out of bounds": ["cut.jpg", "späte #1 %20.jpg"],
        "I002 damaged image": ["torn.jpg"],
        "D001 exact duplicate": shown["D001 exact duplicate"],
        "damaged or unreadable images": ["torn.jpg"],
    }
    rule = dataset.load_saved_view("B001 box out of bounds")
    assert rule.values("ground_truth.detections.label") == [["dog"], ["dog"]]
    copies = dataset.load_saved_view(views.COPIES)
    assert [len(group) for group in copies.iter_dynamic_groups()] == [2]


@marked
def test_updating_gives_the_same_dataset(fo: Any, folder: Path) -> None:
    """The second time the same samples and boxes are there, under the same ids, and what people added is kept."""
    name = publish(fo, folder).name
    dataset = fo.load_dataset(name)
    cut = by_name(dataset)["cut.jpg"]
    cut.tags.append("fix")
    cut.ground_truth.detections[0].tags.append("look")
    cut["remark"] = "ours"
    cut.save()
    dataset.save_view("mine", dataset.match_tags("fix"))
    dataset.add_sample(fo.Sample(filepath="/elsewhere.jpg"))
    ids = ["id", "ground_truth.detections.id"]
    before = dataset.values(ids)
    again = publish(fo, folder)
    assert (again.added, again.removed) == (0, 0)
    dataset.reload()
    assert dataset.values(ids) == before
    after = by_name(dataset)["cut.jpg"]
    assert (after.tags, after.remark) == (["train", "B001", "fix"], "ours")
    assert [box.tags for box in after.ground_truth.detections] == [["look"], ["B001"]]
    assert "mine" in dataset.list_saved_views()
    assert fo.list_datasets().count(name) == 1


@marked
def test_updating_follows_the_dataset(fo: Any, folder: Path) -> None:
    """What was mended loses its findings and views, what was deleted goes, and what is new comes."""
    name = publish(fo, folder).name
    dataset = fo.load_dataset(name)
    (folder / "images/train/torn.jpg").unlink()
    (folder / "labels/train/torn.txt").unlink()
    (folder / "labels/val/späte #1 %20.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "labels/train/cut.txt").write_text("0 0.3125 0.5 0.375 0.5\n")
    shutil.copy(folder / "images/train/cut.jpg", folder / "images/train/new.jpg")
    done = publish(fo, folder)
    assert (done.images, done.added, done.removed) == (5, 1, 1)
    dataset.reload()
    found = by_name(dataset)
    assert sorted(found) == sorted([*NAMES[:4], "new.jpg"])
    assert "B001" not in found["cut.jpg"].findings
    assert "B001" not in found["cut.jpg"].tags
    assert not [view for view in dataset.list_saved_views() if view.startswith("B001")]


@marked
def test_what_is_not_ours_is_left_alone(fo: Any, folder: Path) -> None:
    """A dataset of that name that trainworthy did not make, or made of another folder, is never overwritten."""
    name = places.name_of(folder.name)
    theirs = fo.Dataset(name)
    theirs.add_sample(fo.Sample(filepath="/theirs.jpg"))
    with pytest.raises(BrowseError, match="that trainworthy did not make") as refused:
        publish(fo, folder)
    assert "--name OTHER" in refused.value.next_step
    assert theirs.values("filepath") == ["/theirs.jpg"]
    fo.delete_dataset(name)
    publish(fo, folder)
    other = write(Example((Picture("a.jpg", boxes=(CAT,)),)), folder.parent / "other" / folder.name)
    with pytest.raises(BrowseError, match="shows another folder"):
        publish(fo, other)
    assert len(fo.load_dataset(name)) == 5


@marked
def test_a_zip_is_shown_from_copies(fo: Any, folder: Path) -> None:
    """The images of a zip are copied to FiftyOne's media folder, and said to be."""
    zipped = Path(shutil.make_archive(str(folder), "zip", folder))
    done = publish(fo, zipped)
    files = [Path(path) for path in fo.load_dataset(done.name).values("filepath")]
    assert done.copied == 5
    assert all(file.is_relative_to(done.media) and file.exists() for file in files)
    assert f"5 images were copied to {done.media}" in str(done)


# ------------------------------------------------------------------------------------------------------------
# What comes back


@marked
def test_tags_come_back_as_waivers_and_fixes(fo: Any, folder: Path) -> None:
    """`waive` on a box proposes a waiver of its findings alone; `fix` on a sample lists all of its own."""
    audit = run_audit(folder, select=SELECT)
    dataset = fo.load_dataset(publish(fo, folder, audit).name)
    cut, torn = (by_name(dataset)[name] for name in ("cut.jpg", "torn.jpg"))
    cut.ground_truth.detections[1].tags.append("waive")
    cut.save()
    torn.tags.append("fix")
    torn.save()
    told = decisions.proposals(decisions.collect(fo, audit.name), "Ann", Path("data.waivers.toml"))
    assert "# To fix:\n#   images/train/torn.jpg  I002 error: " in told
    proposed = folder.parent / "proposed.toml"
    proposed.write_text(told.replace('reason = ""', 'reason = "amodal"'), "utf-8")
    [waiver] = waivers.read(proposed)
    of_box = audit.findings.filter(rule="B001", image="images/train/cut.jpg")
    assert (waiver.rule, waiver.findings, waiver.author) == ("B001", tuple(of_box["key"]), "Ann")
    assert waiver.where == "images/train/cut.jpg"


@marked
def test_collect_on_the_command_line(fo: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`browse --collect` prints what was tagged, says when that is nothing, and changes nothing."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    dataset = fo.load_dataset(publish(fo, folder).name)
    result = run("browse", folder, "--collect")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing in trainworthy-" in result.stderr
    sample = by_name(dataset)["cut.jpg"]
    sample.tags.append("waive")
    sample.save()
    result = run("browse", folder, "--collect")
    assert result.stdout.startswith("# Proposed: write the reasons, then add this to ")
    assert 'rule = "B001"' in result.stdout


# ------------------------------------------------------------------------------------------------------------
# The App in a browser


class App(NamedTuple):
    """The App on the example dataset: addresses that `browse` prints."""

    whole: str
    rule: str  # B001
    chosen: str  # I002 on torn.jpg


@pytest.fixture(scope="module")
def app(fo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    publish(fo, write(EXAMPLE, tmp_path_factory.mktemp("app") / "shown"))
    pages = (
        views.page(fo, "shown"),
        views.page(fo, "shown", rule="B001"),
        views.page(fo, "shown", rule="I002", images=["images/train/torn.jpg"]),
    )
    port = launcher.free_port(free_port())
    session = launcher.launch(fo, "shown", port)
    yield App(*(f"http://localhost:{port}{page}" for page in pages))
    session.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1500, "height": 950})
    page.add_locator_handler(
        page.get_by_text("Dismiss", exact=True), lambda button: button.click()
    )  # an advert
    yield page
    page.close()


def cy(tab: Page, name: str) -> Locator:
    """The elements that FiftyOne's own tests know by this name."""
    return tab.locator(f'[data-cy="{name}"]')


def shows(tab: Page, samples: int, total: str) -> None:
    """The App says how many samples it shows, and draws as many tiles."""
    expect(cy(tab, "entry-counts")).to_have_text(total, timeout=60_000)
    expect(cy(tab, "looker")).to_have_count(samples)


def open_whole(tab: Page, app: App) -> None:
    """Open the whole dataset: the App would go on where the last tab was left."""
    tab.goto(app.whole)
    cy(tab, "btn-clear-view-bar").click()
    shows(tab, 5, "5 samples")


@marked
@pytest.mark.browser
@needs_chromium
def test_the_app_shows_the_samples(app: App, tab: Page) -> None:
    """The page shows every image, with the findings on it; the one that is damaged is there too."""
    open_whole(tab, app)
    expect(cy(tab, "tag-findings").filter(has_text="B001")).to_have_count(2)
    expect(cy(tab, "tag-findings").filter(has_text="I002")).to_have_count(1)


@marked
@pytest.mark.browser
@needs_chromium
def test_the_sidebar_filters_by_a_rule(app: App, tab: Page) -> None:
    """The sidebar's filter of one rule leaves exactly its images; the filter on boxes exactly its boxes."""
    open_whole(tab, app)
    cy(tab, "sidebar-field-arrow-enabled-findings").click()
    cy(tab, "categorical-filter-findings").locator('[data-cy="checkbox-B001"]').click()
    shows(tab, 2, "2 of 5 samples")
    expect(cy(tab, "tag-findings")).to_have_text(["B001", "B001"])


@marked
@pytest.mark.browser
@needs_chromium
def test_the_sidebar_filters_boxes_by_a_rule(app: App, tab: Page) -> None:
    """The filter below the labels leaves exactly the boxes with that finding, and the images that have one."""
    open_whole(tab, app)
    cy(tab, "sidebar-field-arrow-enabled-ground_truth").click()
    labels = cy(tab, "categorical-filter-ground_truth.detections.label")
    expect(labels.locator('[data-cy="entry-count-all"]')).to_have_text(["4", "2"])  # cats, dogs
    boxes = cy(tab, "categorical-filter-ground_truth.detections.findings")
    boxes.locator('[data-cy="checkbox-B001"]').click()
    shows(tab, 2, "2 of 5 samples")
    expect(labels).to_contain_text("dog2")  # both of them
    expect(labels).to_contain_text("cat0 of 4")


@marked
@pytest.mark.browser
@needs_chromium
def test_a_saved_view_opens(app: App, tab: Page) -> None:
    """A rule's view can be chosen in the App, and opens from its address, as `browse --rule` prints it."""
    open_whole(tab, app)
    cy(tab, "saved-views-selection").click()
    tab.get_by_text("I002 damaged image").click()
    shows(tab, 1, "1 sample")
    tab.goto(app.rule)
    shows(tab, 2, "2 samples")
    tab.wait_for_url("**?view=b001-box-out-of-bounds")  # the App writes it once it has opened the view


@marked
@pytest.mark.browser
@needs_chromium
def test_a_tag_set_in_the_app_comes_back(fo: Any, app: App, tab: Page) -> None:
    """An image that is tagged `waive` by hand in the App is a proposed waiver of its findings."""
    tab.goto(app.chosen)
    shows(tab, 1, "1 sample")
    cy(tab, "action-tag-sample-labels").click()
    tab.get_by_placeholder(re.compile("tag")).fill("waive")
    tab.keyboard.press("Enter")
    with tab.expect_response(lambda response: response.url.endswith("/tag")):
        tab.get_by_text("Apply", exact=True).click()
    assert set(decisions.collect(fo, "shown").waive) == {"I002"}


# ------------------------------------------------------------------------------------------------------------
# Where it cannot be done


@marked
def test_a_database_that_does_not_answer_is_said(fo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong FIFTYONE_DATABASE_URI ends within seconds in one message, without the password."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    monkeypatch.setattr(fo.config, "database_uri", f"mongodb://ann:secret@127.0.0.1:{free_port()}")
    with pytest.raises(BrowseError, match="no MongoDB answers at FIFTYONE_DATABASE_URI") as refused:
        connection.connect()
    assert "secret" not in str(refused.value)
    assert "FIFTYONE_DATABASE_URI" in refused.value.next_step


@marked
def test_no_finding_and_no_image_are_said(fo: Any, folder: Path) -> None:
    """A rule without findings and an image that is not there are errors that say what to do."""
    publish(fo, folder)
    with pytest.raises(BrowseError, match="no finding of B002 is on any image"):
        views.page(fo, folder.name, rule="B002")
    with pytest.raises(BrowseError, match=r"the dataset has no image b\.jpg"):
        views.page(fo, folder.name, images=["b.jpg"])
    with pytest.raises(BrowseError, match="FiftyOne has no dataset trainworthy-unseen"):
        decisions.collect(fo, "unseen")


def test_without_fiftyone_the_way_to_get_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FiftyOne is not installed, `browse` says how to install it, and exits with 2."""
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    folder = write(Example((Picture("a.jpg", boxes=(CAT,)),)), tmp_path / "data")
    result = run("browse", folder, "--workers", 1, "--no-cache")
    assert result.exit_code == 2
    assert "error: FiftyOne is not installed" in result.stderr
    assert "next: uv run --group browse trainworthy browse DATASET" in result.stderr


def test_a_taken_port_is_said() -> None:
    """A port that something listens on is refused before FiftyOne is started; without one the next free is taken."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(BrowseError, match=r"port \d+ is taken"):
            launcher.free_port(listening.getsockname()[1])
    assert launcher.free_port(None) >= 5151


def test_a_report_leads_to_its_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """reports/NAME stands for the dataset that it was made of, from wherever it is named."""
    monkeypatch.chdir(tmp_path)
    folder = write(Example((Picture("a.jpg", boxes=(CAT,)),)), Path("data/streets"))
    report = Path("reports/streets")
    report.mkdir(parents=True)
    (report / "audit.json").write_text(render("json", run_audit(folder, select=("B",))), "utf-8")
    assert places.locate(report) == (Path("data/streets"), "streets")
    assert places.locate(folder) == (folder, "")
    monkeypatch.chdir(tmp_path / "data")
    place, name = places.locate(Path("../reports/streets"))
    assert (place.resolve(), name) == ((tmp_path / "data/streets").resolve(), "streets")
    shutil.rmtree(tmp_path / "data/streets")
    with pytest.raises(BrowseError, match="is no longer at data/streets"):
        places.locate(Path("../reports/streets"))


@pytest.mark.parametrize("name", ["a/b", "../up", "日本", "x" * 200, "a?view=b", "tab\there"])
def test_any_name_becomes_one_that_fiftyone_takes(name: str) -> None:
    """Names that would not be a file, an address or distinct get a digest; plain ones stay."""
    assert places.name_of("bccd_voc") == "trainworthy-bccd_voc"
    assert re.fullmatch(r"trainworthy-[\w .+-]*-[0-9a-f]{6}", places.name_of(name), re.ASCII)


def test_what_names_hold_stays_a_comment() -> None:
    """A line end in the name of an image cannot end the comment that it stands in."""
    tagged = decisions.Decisions({}, {}, [decisions.Fix("a\n[[waiver]].jpg", "", "B001")])
    assert decisions.proposals(tagged, "", Path("w.toml")) == "# To fix:\n#   a\\x0a[[waiver]].jpg  B001\n"
