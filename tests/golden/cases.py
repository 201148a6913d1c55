"""The cases: each is observed in a folder of its own, and compared with its record."""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden import archive, compare, datasets, observe, records
from golden.command import ROOT

SHARED = ROOT.parent / "shared" / "real"

#: A file that was touched less than two seconds ago is not trusted by the cache: see its own documentation.
SETTLING = 2.1


class Workshop:
    """A folder in which datasets are made when they are first wanted, with a cache for all commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"

    def scratch(self, name: str) -> Path:
        """A new folder for what one case writes; `Case.see` removes it."""
        place = self.folder / "scratch" / name
        place.mkdir(parents=True)
        return place

    @functools.cached_property
    def by_hand(self) -> dict[str, Path]:
        """The datasets that are written by hand here."""
        made = {
            Path(name).stem: datasets.write(make(), self.folder / "hand" / name)
            for name, make in datasets.BY_HAND.items()
        }
        time.sleep(SETTLING)
        return made

    @functools.cached_property
    def examples(self) -> dict[str, Path]:
        """The clean and the dirty example of each rule: {"B001-dirty": folder}."""
        made = {
            f"{code}-{kind}": datasets.write_example(code, kind, self.folder / "examples" / f"{code}-{kind}")
            for code in datasets.codes()
            for kind in ("clean", "dirty")
        }
        time.sleep(SETTLING)
        return made


@dataclass(frozen=True)
class Case:
    """Something that is recorded."""

    name: str  # its record is records/NAME.json
    observe: Callable[[Workshop], Any]
    slow: bool = False
    needs: Path | None = None  # what must be there, beside this checkout
    tolerance: compare.Tolerance = compare.ROUNDED

    def see(self, workshop: Workshop) -> Any:
        """What is so now."""
        try:
            return self.observe(workshop)
        finally:
            shutil.rmtree(workshop.folder / "scratch", ignore_errors=True)


def every() -> dict[str, Case]:
    """All cases by their names."""
    found = [*_datasets(), *_real(), *_logs(), *_training()]
    return {case.name: case for case in found}


# ------------------------------------------------------------------------------------------------------------
# Datasets that are made here

#: What the datasets by hand are merged with.
_PARTNERS = {"yolo": ("darknet",), "voc": ("coco",), "coco": (), "darknet": (), "shapes": ()}


def _datasets() -> Iterator[Case]:
    yield Case("catalogue", lambda shop: observe.catalogue(shop.by_hand["shapes"]))
    yield Case("demo", lambda shop: observe.demo(shop.scratch("demo")))
    for name in _PARTNERS:
        yield Case(f"by-hand/{name}", functools.partial(_by_hand, name))
    # The dirty ones are in `demo`; merged they are refused, since some leave in doubt what class ids mean.
    yield Case("examples/all-clean", functools.partial(_bulk, "clean"), slow=True)


def _by_hand(name: str, shop: Workshop) -> Any:
    partners = tuple(shop.by_hand[partner] for partner in _PARTNERS[name])
    return observe.dataset(
        shop.by_hand[name],
        shop.scratch(name),
        shop.cache,
        partners=partners,
        every_rule=True,
        accepting=name == "voc",
    )


def _bulk(kind: str, shop: Workshop) -> Any:
    places = [place for name, place in shop.examples.items() if name.endswith(kind)]
    return observe.bulk(places, shop.scratch(f"all-{kind}"), shop.cache)


# ------------------------------------------------------------------------------------------------------------
# Real ones

_VOC100 = "multiformat_voc100/data/database"

#: By the record's name: the folder, options that say how to read it, and what it is merged with.
REAL: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "bccd_voc": ("bccd_voc", (), ("raccoon_voc",)),
    "raccoon_voc": ("raccoon_voc", (), ("nuts_coco",)),
    "nuts_coco": ("nuts_coco", (), ("raccoon_voc",)),
    "medwaste_coco": ("medwaste_coco", (), ()),
    "pallet_yolo": ("pallet_yolo", (), ("nuts_coco",)),
    "stopsign_yolo": ("stopsign_yolo", (), ("pallet_yolo",)),
    "multiformat_voc": (_VOC100, ("--format", "voc", "--annotations", "gts/pascalvoc_format"), ()),
    "multiformat_coco1": (_VOC100, ("--format", "coco", "--annotations", "gts/coco_format_v1"), ()),
    "multiformat_coco2": (_VOC100, ("--format", "coco", "--annotations", "gts/coco_format_v2"), ()),
    "multiformat_darknet": (_VOC100, ("--format", "darknet", "--annotations", "gts/yolo_format"), ()),
}


def _real() -> Iterator[Case]:
    for name, (folder, _, partners) in REAL.items():
        assert all(partner in REAL for partner in partners)
        yield Case(
            f"real/{name}",
            functools.partial(_real_dataset, name),
            slow=True,
            needs=SHARED / "datasets" / folder,
        )


def _real_dataset(name: str, shop: Workshop) -> Any:
    folder, reading, partners = REAL[name]
    place = SHARED / "datasets"
    others = tuple(place / partner for partner in partners)
    return observe.dataset(
        place / folder, shop.scratch(name), shop.cache, reading=reading, partners=others, max_side="256"
    )


# ------------------------------------------------------------------------------------------------------------
# Logs and trainings

#: Real logs: of every format that is there, of every pattern, and of what is refused; each lies alone in its folder.
CURVES = (
    "con8_AgusRaharja6_23997e", "con8_AgusRaharja6_f82ee6", "d2_LeviMagny_5fbc10", "d2txt_freepoet_a69611",
    "dark_Ricoshallow_3ec423", "detr_690419071fyb_a8e07c", "f01_darknet_map", "f03_yolox", "f05_rtdetr",
    "f11_mmengine", "f18_v5tb", "f22_v9csv", "f24_readme", "f27_v8csv", "f42_tb_tfevents",
    "mm_zhaoyang97_c2d357", "mm_zhaoyang97_d1ff50", "mmtxt_zhaoyang97_1c7226", "mmtxt_zhaoyang97_cc5085",
    "neg_kazhili8_e67eae", "tb_KaneLindsay_269cf9", "v5_strikeraryu_49281a", "v5txt_Diddi25_c339e0",
    "v5txt_KamranUmer_09d95e", "v5txt_chaoyu1999_ae7e7a", "v5txt_ricoferdian_545d1c", "v5txt_ruiruiy_f4e2eb",
    "v5txt_weirdfish23_0262cd", "v8_CooperW12_27527d", "v8_nailujMay_dd326c", "v8_nailujMay_e35deb",
    "v8_naomichoy_27d101", "yolox_future880419_0cc069",
)  # fmt: skip

#: Epochs of the logs that the tests write: enough to be judged.
EPOCHS = 40


def _logs() -> Iterator[Case]:
    for name in CURVES:
        yield Case(f"logs/{name}", functools.partial(_curve, name), needs=SHARED / "curves" / name)
    for form in _samples().SAMPLES:
        yield Case(f"logs/sample-{form}", functools.partial(_sample, form))


def _curve(name: str, shop: Workshop) -> Any:
    (log,) = (SHARED / "curves" / name).iterdir()
    return observe.diagnosis(log, shop.scratch(name))


@functools.cache
def _samples() -> Any:
    """The tests' own module of logs, wherever it lies."""
    import importlib.util

    (file,) = (ROOT / "tests").rglob("log_samples.py")
    spec = importlib.util.spec_from_file_location("golden_log_samples", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sample(form: str, shop: Workshop) -> Any:
    scratch = shop.scratch(form)
    name, _ = _samples().SAMPLES[form]
    log = datasets.write({name: _samples().sample(form, EPOCHS)}, scratch / "log") / name
    return observe.diagnosis(log, scratch)


def _training() -> Iterator[Case]:
    for weights in ("none", "imagenet"):
        yield Case(
            f"training/small-{weights}",
            functools.partial(_trained, weights),
            slow=True,
            tolerance=compare.TRAINED,
        )
    for version in archive.VERSIONS:
        resumed = functools.partial(_resumed, version)
        yield Case(f"training/resumed-{version}", resumed, slow=True, tolerance=compare.TRAINED)


def _resumed(version: str, shop: Workshop) -> Any:
    return observe.resumed(archive.unpacked(version, shop.scratch("resumed")))


def _trained(weights: str, shop: Workshop) -> Any:
    return observe.training(shop.by_hand["shapes"], shop.scratch(f"training-{weights}"), weights)


# ------------------------------------------------------------------------------------------------------------
# Against their records


def judged(case: Case, workshop: Workshop) -> str:
    """'' where all is as it was recorded; else what differs, and the command that records anew."""
    again = f"python tests/golden/record.py -k {case.name}"
    try:
        old = records.stored(case.name)
    except FileNotFoundError:
        return f"{case.name} has no record\n  record it with: {again}"
    found = compare.differences(old, case.see(workshop), case.tolerance)
    if not found:
        return ""
    return f"{case.name} is not what was recorded:\n{compare.shown(found)}  if it is meant to be so: {again}"


def workshop() -> tuple[Workshop, tempfile.TemporaryDirectory[str]]:
    """A workshop in a temporary folder, and what removes it."""
    place = tempfile.TemporaryDirectory(prefix="golden-")
    return Workshop(Path(place.name)), place
