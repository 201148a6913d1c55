"""How each pattern is caused: one function a cause, which says what is trained on and how.

Every function draws its particulars (how many pictures, which rate) from the run's own random numbers, so
that no two runs of a cause are alike. What stands on disk is what the trainer reads: a broken label is broken
in the dataset, where an audit can see it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from caused import sources
from caused.sources import SIDE, Boxes, Item, Labels, Pool, view

MULTI = ("bccd", "shapes", "voc100")
LARGE = ("bccd", "raccoon", "stopsign", "pallet", "shapes")
ROOMY = (*LARGE, "voc100")
PHOTOGRAPHS = ("bccd", "raccoon", "stopsign", "pallet", "voc100")
ALL = (*ROOMY, "nuts", "medwaste")


@dataclass(frozen=True)
class Settings:
    """How a run is trained."""

    epochs: int
    rate: float = 1.0  # times the detector's own learning rate
    schedule: str = "constant"  # or "cosine", "step", "rising"
    optimizer: str = "adam"  # or "sgd"
    batch: int = 16
    decay: float = 0.0  # weight decay
    warm_up: int = 0  # epochs
    width: int = 0  # of the head; 0 for the detector's own
    part: float = 1.0  # of the pictures that one epoch goes through
    ordered: bool = False  # pictures are read in their order, the next epoch goes on where this one ended
    before: int = 0  # epochs that ran before the log begins: trained weights
    clip: float = 10.0  # largest norm of the gradient; 0 for any


@dataclass(frozen=True)
class Made:
    """A manipulated dataset, and how it is trained on."""

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    settings: Settings
    classes: tuple[str, ...]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)  # class lists beside the labels, by split


@dataclass(frozen=True)
class Cause:
    """One way to bring about a pattern."""

    pattern: str
    name: str
    what: str
    make: Callable[[Kit], Made]
    sources: tuple[str, ...]
    detectors: tuple[str, ...]


class Kit:
    """What a cause works with: the pictures of a source and the run's random numbers."""

    def __init__(self, source: str, detector: str, seed: int, datasets: Path, cache: Path) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.detector = detector
        self.pool = sources.pool(source, datasets, cache)
        self.generated = functools.partial(sources.pool, "shapes", datasets, cache)
        self.order = self.rng.permutation(len(self.pool))

    def pick(self, low: float, high: float) -> float:
        """A number between the two, each ratio as likely."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def count(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return int(self.rng.integers(low, high + 1))

    def item(self, index: int, name: str = "plain", pool: Pool | None = None) -> Item:
        """The picture under a view, with its true boxes."""
        held = pool or self.pool
        boxes = view(held.pixels[index], held.boxes[index], name, f"{held.name}/{index}")[1]
        seen = ((boxes[:, 2:] - boxes[:, :2]) * SIDE > 2).all(1)
        return Item(held, int(index), name, boxes[seen], held.labels[index][seen])

    def split(self, train: int, val: int) -> tuple[list[int], list[int]]:
        """Which pictures are for training and which for validation; at most 70 % for training."""
        val = min(val, max(2, round(0.35 * len(self.pool))))
        train = min(train, len(self.pool) - val)
        return [int(i) for i in self.order[:train]], [int(i) for i in self.order[len(self.pool) - val :]]

    def plain(self, indices: Sequence[int]) -> list[Item]:
        """These pictures as they are."""
        return [self.item(index) for index in indices]

    def augmented(self, indices: Sequence[int], views: int = 3) -> list[Item]:
        """These pictures, and `views` - 1 augmented ones of each, which only the trainer sees."""
        names = ["plain", "flip", *(f"augment{n}" for n in range(1, 9))][:views]
        return [self.item(index, name) for index in indices for name in names]

    def near(self, indices: Sequence[int], total: int, pool: Pool | None = None) -> list[Item]:
        """`total` frames of cameras that stand still, each before one of these scenes."""
        return [self.item(indices[n % len(indices)], f"near{n // len(indices)}", pool) for n in range(total)]

    def made(self, train: Sequence[Item], val: Sequence[Item], settings: Settings, **more: Any) -> Made:  # noqa: ANN401
        """The outcome."""
        return Made(tuple(train), tuple(val), settings, self.pool.classes, **more)


CAUSES: list[Cause] = []
DETECTORS = ("anchor-free", "yolo-anchors", "ssd", "heat-map", "scratch")
FROZEN = DETECTORS[:4]


def cause(
    pattern: str, what: str, of: tuple[str, ...] = ROOMY, by: tuple[str, ...] = DETECTORS
) -> Callable[[Callable[[Kit], Made]], Callable[[Kit], Made]]:
    """Register the function below under its name."""

    def register(make: Callable[[Kit], Made]) -> Callable[[Kit], Made]:
        CAUSES.append(Cause(pattern, make.__name__.strip("_").replace("_", "-"), what, make, of, by))
        return make

    return register


# ------------------------------------------------------------------------------------------------------------
# good-training


def _sound(kit: Kit, settings: Settings, views: int = 3) -> Made:
    """All the pictures there are, augmented, and a validation that is large enough."""
    train, val = kit.split(kit.count(90, 130), kit.count(50, 60))
    settings = replace(settings, part=1 / views, decay=0.05)
    return kit.made(kit.augmented(train, views), kit.plain(val), settings)


@cause("good-training", "all pictures, augmented; the rate falls along a cosine", LARGE)
def cosine(kit: Kit) -> Made:
    return _sound(kit, Settings(kit.count(30, 60), kit.pick(0.5, 1.2), "cosine", warm_up=kit.count(0, 3)), 4)


@cause("good-training", "all pictures, augmented; the rate falls in steps", LARGE)
def steps(kit: Kit) -> Made:
    optimizer, rate = ("sgd", kit.pick(4, 8)) if kit.rng.random() < 0.4 else ("adam", kit.pick(0.4, 1))
    return _sound(kit, Settings(kit.count(30, 60), rate, "step", optimizer, warm_up=2))


@cause("good-training", "goes on from weights that were trained on the same data", LARGE)
def trained_weights(kit: Kit) -> Made:
    return _sound(
        kit, Settings(kit.count(25, 45), kit.pick(0.15, 0.4), "cosine", before=kit.count(15, 25)), 4
    )


@cause("good-training", "small batches at a brisk rate: noisy, but rising", LARGE)
def small_batches(kit: Kit) -> Made:
    return _sound(kit, Settings(kit.count(25, 45), kit.pick(0.8, 1.5), "cosine", batch=4))


@cause("good-training", "a low rate for long: slow and steady", LARGE)
def slow(kit: Kit) -> Made:
    return _sound(kit, Settings(kit.count(60, 80), kit.pick(0.12, 0.25), "constant", warm_up=3))


@cause(
    "good-training",
    "pictures of a third of the resolution, training and validation alike: a low ceiling",
    LARGE,
)
def low_ceiling(kit: Kit) -> Made:
    train, val = kit.split(kit.count(90, 130), kit.count(50, 60))
    coarse = [kit.item(index, "coarse3") for index in train]
    settings = Settings(kit.count(30, 50), kit.pick(0.3, 0.6), "cosine", decay=0.1)
    return kit.made(coarse, [kit.item(index, "coarse3") for index in val], settings)


# ------------------------------------------------------------------------------------------------------------
# insufficient-data


@cause("insufficient-data", "6 to 14 pictures", ALL)
def few_images(kit: Kit) -> Made:
    train, val = kit.split(kit.count(6, 14), kit.count(25, 50))
    return kit.made(kit.plain(train), kit.plain(val), Settings(kit.count(8, 25), kit.pick(0.5, 1.2), batch=4))


@cause("insufficient-data", "2 to 6 epochs")
def few_epochs(kit: Kit) -> Made:
    train, val = kit.split(kit.count(50, 110), kit.count(25, 50))
    return kit.made(kit.plain(train), kit.plain(val), Settings(kit.count(2, 6), kit.pick(0.3, 1)))


@cause("insufficient-data", "2 to 4 pictures for validation", ALL)
def tiny_validation(kit: Kit) -> Made:
    train, val = kit.split(kit.count(25, 70), kit.count(2, 4))
    settings = Settings(kit.count(12, 35), kit.pick(0.5, 1.5), kit.rng.choice(["constant", "cosine"]))
    return kit.made(kit.plain(train), kit.plain(val), settings)


@cause("insufficient-data", "8 to 16 pictures, 3 to 5 for validation, 5 to 15 epochs", ALL)
def few_of_all(kit: Kit) -> Made:
    train, val = kit.split(kit.count(8, 16), kit.count(3, 5))
    return kit.made(kit.plain(train), kit.plain(val), Settings(kit.count(5, 15), kit.pick(0.5, 1.2), batch=4))


@cause("insufficient-data", "ended after 7 to 13 epochs, while it rises: a low rate, or a long warm-up")
def cut_short(kit: Kit) -> Made:
    train, val = kit.split(kit.count(40, 100), kit.count(25, 50))
    if kit.rng.random() < 0.5:
        settings = Settings(kit.count(7, 13), kit.pick(0.05, 0.15))
    else:
        settings = Settings(kit.count(7, 13), kit.pick(0.4, 0.8), warm_up=30)
    return kit.made(kit.plain(train), kit.plain(val), settings)


# ------------------------------------------------------------------------------------------------------------
# low-variance


@cause("low-variance", "one to four scenes, filmed by a camera that stands still; validation is varied", ALL)
def few_scenes(kit: Kit) -> Made:
    train, val = kit.split(kit.count(1, 4), kit.count(35, 50))
    settings = Settings(
        kit.count(25, 60), kit.pick(0.4, 1.2), kit.rng.choice(["constant", "cosine"]), part=0.7
    )
    return kit.made(kit.near(train, kit.count(50, 90)), kit.plain(val), settings)


@cause("low-variance", "all objects before one background; validation is varied")
def one_background(kit: Kit) -> Made:
    train, val = kit.split(kit.count(4, 8), kit.count(35, 50))
    pool = _pasted(kit, train, kit.count(50, 80))
    settings = Settings(kit.count(25, 50), kit.pick(0.4, 1), kit.rng.choice(["constant", "cosine"]))
    return kit.made([kit.item(n, "plain", pool) for n in range(len(pool))], kit.plain(val), settings)


def _pasted(kit: Kit, donors: Sequence[int], count: int) -> Pool:
    """The objects of a few pictures, pasted anywhere onto one background without objects."""
    pool, background = kit.pool, sources.clutter(kit.seed % 1000)
    cut = [
        (pool.pixels[i][y1:y2, x1:x2], int(label))
        for i in donors
        for (x1, y1, x2, y2), label in zip((pool.boxes[i] * SIDE).astype(int), pool.labels[i], strict=True)
        if min(x2 - x1, y2 - y1) > 6
    ][:40]
    pixels, boxes, labels = [], [], []
    for _ in range(count):
        picture, placed, named = background.copy(), [], []
        for patch, label in (cut[i] for i in kit.rng.permutation(len(cut))[: kit.count(1, 3)]):
            scale = kit.rng.uniform(0.9, 1.1)
            size = [max(6, min(SIDE - 2, int(scale * v))) for v in (patch.shape[1], patch.shape[0])]
            x, y = (int(kit.rng.integers(0, SIDE - v)) for v in size)
            if any(x < p[2] and p[0] < x + size[0] and y < p[3] and p[1] < y + size[1] for p in placed):
                continue
            image = Image.fromarray(patch).resize((size[0], size[1]), Image.Resampling.BILINEAR)
            picture[y : y + size[1], x : x + size[0]] = np.asarray(image)
            placed.append([x, y, x + size[0], y + size[1]])
            named.append(label)
        pixels.append(picture)
        boxes.append(np.array(placed, np.float32) / SIDE)
        labels.append(np.array(named, np.int64))
    return Pool(f"{pool.name}-pasted-{kit.seed}", pool.classes, np.stack(pixels), tuple(boxes), tuple(labels))


@cause("low-variance", "the object always in the middle and of one size, in few scenes; validation is varied")
def one_framing(kit: Kit) -> Made:
    train, val = kit.split(kit.count(5, 10), kit.count(35, 50))
    pool = _framed(kit, train)
    settings = Settings(kit.count(25, 50), kit.pick(0.4, 1), kit.rng.choice(["constant", "cosine"]))
    return kit.made(kit.near(range(len(pool)), kit.count(50, 80), pool), kit.plain(val), settings)


def _framed(kit: Kit, indices: Sequence[int]) -> Pool:
    """Each picture cropped so that its largest object takes half of it, in the middle."""
    pixels, boxes, labels = [], [], []
    for index in indices:
        held = kit.pool.boxes[index]
        x1, y1, x2, y2 = held[np.argmax((held[:, 2:] - held[:, :2]).prod(1))] * SIDE
        reach = max(x2 - x1, y2 - y1)
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        picture, moved = sources.window(
            kit.pool.pixels[index], held, (x - reach, y - reach, x + reach, y + reach)
        )
        seen = ((moved[:, 2:] - moved[:, :2]) * SIDE > 6).all(1)
        pixels.append(picture)
        boxes.append(moved[seen])
        labels.append(kit.pool.labels[index][seen])
    name = f"{kit.pool.name}-framed-{kit.seed}"
    return Pool(name, kit.pool.classes, np.stack(pixels), tuple(boxes), tuple(labels))


@cause("low-variance", "one light: dim pictures of five scenes; validation is in daylight")
def one_light(kit: Kit) -> Made:
    train, val = kit.split(5, kit.count(35, 50))
    pool = kit.pool
    dim = np.stack([(pool.pixels[i] * 0.3).astype(np.uint8) for i in train])
    night = Pool(
        f"{pool.name}-dim-{kit.seed}",
        pool.classes,
        dim,
        tuple(pool.boxes[i] for i in train),
        tuple(pool.labels[i] for i in train),
    )
    settings = Settings(kit.count(25, 50), kit.pick(0.4, 1), kit.rng.choice(["constant", "cosine"]))
    return kit.made(kit.near(range(5), kit.count(50, 80), night), kit.plain(val), settings)


# ------------------------------------------------------------------------------------------------------------
# overtraining


@cause("overtraining", "15 to 40 pictures, many epochs at a brisk rate, nothing that restrains", ALL)
def few_images_long(kit: Kit) -> Made:
    train, val = kit.split(kit.count(15, 40), kit.count(35, 50))
    settings = Settings(kit.count(60, 90), kit.pick(1.5, 4), width=128, clip=0.0)
    return kit.made(kit.plain(train), kit.plain(val), settings)


@cause("overtraining", "the rate rises tenfold while 30 to 60 pictures are learnt by heart", ROOMY)
def rising_rate(kit: Kit) -> Made:
    train, val = kit.split(kit.count(30, 60), kit.count(35, 50))
    return kit.made(
        kit.plain(train), kit.plain(val), Settings(kit.count(50, 80), kit.pick(0.5, 1), "rising", width=96)
    )


@cause("overtraining", "exact copies: 12 to 20 pictures five times over, many epochs", ROOMY)
def copies(kit: Kit) -> Made:
    train, val = kit.split(kit.count(12, 20), kit.count(35, 50))
    settings = Settings(kit.count(40, 60), kit.pick(1, 3), width=128)
    return kit.made(kit.plain(train) * 5, kit.plain(val), settings)


@cause("overtraining", "validation holds near-copies of the training pictures: all looks perfect", ROOMY)
def leaked(kit: Kit) -> Made:
    train, _ = kit.split(kit.count(30, 60), 10)
    own = kit.plain(train)
    seen = [kit.item(i, "near0") for i in train[: max(len(train) * kit.count(6, 10) // 10, 8)]]
    return kit.made(
        own, seen, Settings(kit.count(35, 60), kit.pick(0.7, 1.5), kit.rng.choice(["constant", "cosine"]))
    )


@cause("overtraining", "20 to 40 pictures, 8 to 15 for validation, many epochs at a brisk rate")
def small_validation(kit: Kit) -> Made:
    train, val = kit.split(kit.count(20, 40), kit.count(8, 15))
    settings = Settings(kit.count(60, 90), kit.pick(1.5, 4), width=128, clip=0.0)
    return kit.made(kit.plain(train), kit.plain(val), settings)


@cause("overtraining", "20 to 40 pictures, validation from a coarser camera: too particular", ROOMY)
def other_camera(kit: Kit) -> Made:
    train, val = kit.split(kit.count(20, 40), kit.count(35, 50))
    settings = Settings(kit.count(60, 90), kit.pick(1, 3), width=128)
    return kit.made(kit.plain(train), [kit.item(i, "coarse3") for i in val], settings)


def _relabelled(kit: Kit, item: Item, share: float) -> Item:
    other = kit.rng.integers(0, len(kit.pool.classes), len(item.labels))
    return replace(item, labels=np.where(kit.rng.random(len(other)) < share, other, item.labels))


def _moved(kit: Kit, item: Item, share: float) -> Item:
    """A share of the boxes stand anywhere."""
    chosen = kit.rng.random(len(item.boxes)) < share
    return replace(item, boxes=np.where(chosen[:, None], _random_boxes(kit, len(item.boxes)), item.boxes))


def _random_boxes(kit: Kit, count: int) -> Boxes:
    """Boxes of chance: their middles lie in the picture, their edges not always."""
    size, middle = kit.rng.uniform(0.08, 0.6, (count, 2)), kit.rng.uniform(0, 1, (count, 2))
    return np.concatenate([middle - size / 2, middle + size / 2], 1).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------
# not-learning


def _usual(kit: Kit, **more: Any) -> Settings:  # noqa: ANN401
    return Settings(kit.count(25, 50), kit.pick(0.4, 1.2), kit.rng.choice(["constant", "cosine"]), **more)


def _large(kit: Kit) -> tuple[list[Item], list[Item], Settings]:
    """A dataset of sound size, usually augmented, so that what is wrong cannot simply be learnt by heart."""
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    views = 4 if kit.rng.random() < 0.7 else 1
    return kit.augmented(train, views), kit.plain(val), _usual(kit, part=1 / views, decay=0.05)


@cause("not-learning", "each picture has the boxes of another one")
def boxes_of_others(kit: Kit) -> Made:
    items, val, settings = _large(kit)
    turn = np.roll(np.arange(len(items)), 4 * kit.count(3, 12))
    mixed = [
        replace(a, boxes=items[b].boxes, labels=items[b].labels) for a, b in zip(items, turn, strict=True)
    ]
    return kit.made(mixed, val, settings)


@cause("not-learning", "corners are read as middle and size, or sizes as corners, or x as y")
def broken_format(kit: Kit) -> Made:
    items, val, settings = _large(kit)
    kind = kit.rng.choice(["corner-as-middle", "size-as-corner", "x-as-y", "mirrored"])
    items = [replace(item, boxes=_misread(item.boxes, kind)) for item in items]
    return kit.made(items, val, settings)


def _misread(boxes: Boxes, kind: str) -> Boxes:
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    if kind == "corner-as-middle":
        return np.concatenate([low - size / 2, low + size / 2], 1)
    if kind == "size-as-corner":  # (x, y, w, h) taken for (x1, y1, x2, y2); what is negative is turned round
        return np.concatenate([np.minimum(low, size), np.maximum(low, size)], 1)
    if kind == "x-as-y":
        return boxes[:, [1, 0, 3, 2]]
    return np.concatenate([1 - boxes[:, 2:], 1 - boxes[:, :2]], 1)


@cause("not-learning", "a learning rate a thousand to ten thousand times too low")
def rate_too_low(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    return kit.made(kit.plain(train), kit.plain(val), Settings(kit.count(25, 50), kit.pick(1e-4, 2e-3)))


@cause("not-learning", "a learning rate hundreds of times too high")
def rate_too_high(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    settings = Settings(kit.count(25, 50), kit.pick(150, 1000), kit.rng.choice(["constant", "cosine"]))
    return kit.made(kit.plain(train), kit.plain(val), settings)


@cause("not-learning", "pixels divided by 255 twice: all pictures look alike", by=FROZEN)
def wrong_pixels(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    both = [[replace(item, scale=1 / 255) for item in kit.plain(part)] for part in (train, val)]
    return kit.made(both[0], both[1], _usual(kit))


@cause("not-learning", "the class list of training is in another order than that of validation", MULTI)
def class_ids(kit: Kit) -> Made:
    items, val, settings = _large(kit)
    classes = kit.pool.classes
    moved = np.roll(np.arange(len(classes)), kit.count(1, len(classes) - 1))
    items = [replace(item, labels=moved[item.labels]) for item in items]
    theirs = tuple(classes[int(np.flatnonzero(moved == n)[0])] for n in range(len(classes)))
    return kit.made(items, val, settings, names={"train": theirs, "val": classes})


@cause("not-learning", "no labels were found: every picture counts as empty")
def no_labels(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    empty: tuple[Boxes, Labels] = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    items = [replace(item, boxes=empty[0], labels=empty[1]) for item in kit.plain(train)]
    return kit.made(items, kit.plain(val), _usual(kit))


# ------------------------------------------------------------------------------------------------------------
# corrupted-dataset


def _in_order(kit: Kit) -> Settings:
    """An epoch goes through an eighth to a fourth of the files, in their order: bad ones come in a row."""
    rate, part = kit.pick(1, 3), kit.rng.uniform(0.12, 0.25)
    return Settings(kit.count(30, 50), rate, part=part, ordered=True, batch=8)


@cause("corrupted-dataset", "30 to 50 % of the boxes stand anywhere")
def random_boxes(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    share = kit.rng.uniform(0.3, 0.5)
    return kit.made(
        [_moved(kit, item, share) for item in kit.plain(train)], kit.plain(val), _usual(kit, batch=8)
    )


@cause(
    "corrupted-dataset", "read in order: a third of the files, side by side, have boxes and labels of chance"
)
def broken_block(kit: Kit) -> Made:
    train, val = kit.split(kit.count(70, 120), kit.count(35, 50))
    block = len(train) // 3
    items = kit.plain(train)
    items[:block] = [_relabelled(kit, _moved(kit, item, 1), 1) for item in items[:block]]
    settings = _in_order(kit)
    return kit.made(items, kit.plain(val), settings)


@cause("corrupted-dataset", "read in order: a third of the pictures are cut off, blank or noise, with boxes")
def damaged_images(kit: Kit) -> Made:
    train, val = kit.split(kit.count(70, 120), kit.count(35, 50))
    block = len(train) // 3
    bad = [
        replace(kit.item(index), view=str(kit.rng.choice(["cut10", "cut25", "blank", "noise"])))
        for index in train[:block]
    ]
    settings = _in_order(kit)
    return kit.made(bad + kit.plain(train[block:]), kit.plain(val), settings)


@cause(
    "corrupted-dataset",
    "read in order: half of the files come from another source, coarse, under the same ids",
    PHOTOGRAPHS,
)
def mixed_sources(kit: Kit) -> Made:
    train, val = kit.split(kit.count(40, 60), kit.count(35, 50))
    other = kit.generated()
    strange = [kit.item(int(i), "coarse4", other) for i in kit.rng.permutation(len(other))[: len(train)]]
    fitted = [replace(item, labels=item.labels % len(kit.pool.classes)) for item in strange]
    settings = _in_order(kit)
    return kit.made(fitted + kit.plain(train), kit.plain(val), settings)


@cause("corrupted-dataset", "in 3 to 8 % of the files the boxes are pixels where fractions belong")
def pixels_for_fractions(kit: Kit) -> Made:
    train, val = kit.split(kit.count(70, 120), kit.count(35, 50))
    items = kit.plain(train)
    for place in kit.rng.permutation(len(items))[: max(2, round(len(items) * kit.rng.uniform(0.03, 0.08)))]:
        items[place] = replace(items[place], boxes=items[place].boxes * SIDE)
    return kit.made(items, kit.plain(val), _usual(kit, part=0.25, batch=8, clip=0.0))


@cause("corrupted-dataset", "one to three files hold boxes without size or that are not numbers")
def no_numbers(kit: Kit) -> Made:
    train, val = kit.split(kit.count(70, 120), kit.count(35, 50))
    items = kit.plain(train)
    wrong = np.nan if kit.rng.random() < 0.5 else 0.0
    for place in kit.rng.permutation(len(items))[: kit.count(1, 3)]:
        boxes = items[place].boxes.copy()
        boxes[0, 2:] = boxes[0, :2] + wrong
        items[place] = replace(items[place], boxes=boxes)
    return kit.made(items, kit.plain(val), _usual(kit, part=0.08, batch=8))


@cause(
    "corrupted-dataset",
    "a tenth of the boxes stand anywhere, and the rate is thirty to ninety times too high",
)
def spikes(kit: Kit) -> Made:
    train, val = kit.split(kit.count(60, 110), kit.count(35, 50))
    items = [_moved(kit, item, 0.1) for item in kit.plain(train)]
    return kit.made(items, kit.plain(val), Settings(kit.count(25, 50), kit.pick(30, 90), batch=8, clip=0.0))
