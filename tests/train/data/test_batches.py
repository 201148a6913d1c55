from __future__ import annotations

import dataclasses
import pickle
import platform

import numpy as np
import pytest
import torch
from blake3 import blake3
from PIL import Image
from torch import nn

from trainworthy_audit.errors import DatasetError
from trainworthy_audit.source import Locator
from trainworthy_train.data import memory
from trainworthy_train.data.augmentation import NO_AUGMENTATION, Augmentation
from trainworthy_train.data.batches import Loader, LoaderOptions
from trainworthy_train.data.feature_cache import FeatureCache
from trainworthy_train.data.letterbox import letterbox
from trainworthy_train.data.memory import keep_freed_memory
from trainworthy_train.errors import RefusedError
from trainworthy_train.types import Sample

AUGMENTATION = Augmentation(scale_p=1, degrees_p=0.5)


def write(folder, name, image, boxes=((2, 2, 20, 20),), **options):
    """A sample of an image, written to a file."""
    file = folder / name
    image.save(file, **options)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample(
        name,
        Locator(str(file).encode()),
        blake3(file.read_bytes()).hexdigest(),
        boxes,
        np.arange(len(boxes)) % 3,
        np.zeros(len(boxes), bool),
        *image.size,
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Eleven pictures of noise, of several sizes, with two boxes each but for one that is empty."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    made = []
    for number in range(11):
        height, width = rng.integers(30, 90, 2)
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        boxes = () if number == 3 else ((1, 2, 20, 25), (5, 5, width, height))
        made.append(write(folder, f"{number}.png", picture, boxes))
    return made


def loader(samples, features=None, **options):
    defaults = {"image_size": 64, "batch_size": 4, "train": True, "augmentation": AUGMENTATION, "seed": 5}
    return Loader(samples, LoaderOptions(**(defaults | options)), features)


def epoch(made, number=1, start=0):
    return list(made.epoch(number, start=start))


def same(one, other):
    """Whether two lists of batches hold the same, bit for bit."""
    return len(one) == len(other) and all(
        a.paths == b.paths
        and torch.equal(a.images, b.images)
        and all(
            torch.equal(x["boxes"], y["boxes"]) and torch.equal(x["labels"], y["labels"])
            for x, y in zip(a.targets, b.targets, strict=True)
        )
        for a, b in zip(one, other, strict=True)
    )


# ------------------------------------------------------------------------------------------------------------
# Pixels


RED = Image.new("RGB", (40, 30), (200, 30, 40))


@pytest.mark.parametrize("size", [(64, 64), (100, 30), (30, 100), (1, 500), (500, 1), (7, 9)])
def test_letterboxes_go_there_and_back(size):
    """Boxes of an image survive being laid into the square, where they lie on the picture, not on the grey."""
    width, height = size
    pixels = np.full((height, width, 3), 255, np.uint8)
    square, place = letterbox(pixels, 64, width, height)
    assert square.shape == (3, 64, 64)
    whole = torch.tensor([[0.0, 0, width, height]])
    x1, y1, x2, y2 = place.to_square(whole)[0].round().int().tolist()
    inside = torch.zeros(64, 64, dtype=bool)
    inside[y1:y2, x1:x2] = True
    assert torch.equal((square == 255).all(0), inside)
    assert torch.allclose(place.to_image(place.to_square(whole)), whole, rtol=1e-5)


def test_detections_are_clipped_to_their_image():
    """What a detector finds in the grey around a picture ends at the picture's edge."""
    _, place = letterbox(np.zeros((50, 100, 3), np.uint8), 64, 100, 50)
    assert place.to_image(torch.tensor([[-5.0, -5, 70, 70]])).tolist() == [[0, 0, 100, 50]]


# ------------------------------------------------------------------------------------------------------------
# Batches


def test_each_image_comes_once_an_epoch(samples):
    """All images, each once, in another order each epoch; where nothing is trained, in the dataset's order."""
    made = loader(samples)
    first, second = ([path for batch in epoch(made, n) for path in batch.paths] for n in (1, 2))
    assert sorted(first) == sorted(second) == sorted(one.path for one in samples)
    assert first != second
    plain = loader(samples, train=False)
    assert [path for batch in plain for path in batch.paths] == [one.path for one in samples]
    assert len(plain) == len(list(plain)) == 3


def test_batches_do_not_depend_on_what_came_before(samples):
    """The third epoch is the same to the bit whether two were gone through before, and whatever else drew numbers."""
    went_on = loader(samples)
    for number in (1, 2):
        epoch(went_on, number)
    torch.rand(7)
    assert same(epoch(went_on, 3), epoch(loader(samples), 3))


def test_an_epoch_can_be_begun_in_its_middle(samples):
    """With two batches left out, the rest is as it would have been."""
    assert same(epoch(loader(samples), 2, start=2), epoch(loader(samples), 2)[2:])


def test_loading_draws_nothing_from_torchs_generator(samples):
    """The numbers that a model draws do not depend on how images are loaded."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    epoch(loader(samples))
    assert torch.equal(torch.rand(3), expected)


def test_workers_change_nothing(samples):
    """Two processes that load give the batches that one gives, in every epoch."""
    alone, together = loader(samples), loader(samples, workers=2)
    for number in (1, 2):
        assert same(epoch(alone, number), epoch(together, number))


def test_little_shared_memory_changes_nothing(samples, monkeypatch):
    """Where shared memory has no room for batches they travel otherwise, and are the same."""
    monkeypatch.setattr(memory, "free_shared_memory", lambda: 0)
    assert same(epoch(loader(samples, workers=1)), epoch(loader(samples)))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_the_images(samples, world):
    """Each process gets equally many batches; together they see every image."""
    parts = [epoch(loader(samples, rank=rank, world_size=world, batch_size=2)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    seen = [path for part in parts for batch in part for path in batch.paths]
    assert set(seen) == {one.path for one in samples}
    assert len(seen) < len(samples) + world


def test_more_processes_than_images(samples):
    """Four processes and one image: each trains on it, and none waits for the others for ever."""
    assert [len(epoch(loader(samples[:1], rank=rank, world_size=4))) for rank in range(4)] == [1, 1, 1, 1]


def test_no_images_are_no_batches():
    """A split without images is gone through in no time."""
    assert list(loader([])) == []
    assert len(loader([])) == 0


def test_crowds_are_not_learnt(samples):
    """A box that marks a crowd is no target."""
    crowd = dataclasses.replace(samples[0], crowd=np.array([True, False]))
    (batch,) = loader([crowd], train=False)
    assert batch.targets[0]["labels"].tolist() == [1]


def test_empty_images_have_empty_targets(samples):
    """An image without objects has boxes of shape (0, 4)."""
    (batch,) = loader([samples[3]])
    assert batch.targets[0]["boxes"].shape == (0, 4)
    assert batch.images.shape == (1, 3, 64, 64)
    assert batch.images.dtype == torch.float32


@pytest.mark.parametrize("workers", [0, 1])
def test_a_changed_file_stops_the_training(tmp_path, workers):
    """A file that was changed after the start is refused, in words and not with a worker's traceback."""
    sample = write(tmp_path, "a.png", RED)
    RED.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png")
    with pytest.raises(RefusedError, match=r"a\.png") as refused:
        list(loader([sample], workers=workers))
    assert "Traceback" not in str(refused.value)
    assert pickle.loads(pickle.dumps(refused.value)).next_step == refused.value.next_step


def test_a_file_that_is_no_picture_is_named(tmp_path):
    """What cannot be decoded, although it was certified, is an error with the file's name."""
    (tmp_path / "a.png").write_bytes(b"<html>")
    sample = write(tmp_path, "b.png", RED)
    data = (tmp_path / "a.png").read_bytes()
    bad = dataclasses.replace(
        sample,
        path="a.png",
        locator=Locator(str(tmp_path / "a.png").encode()),
        digest=blake3(data).hexdigest(),
    )
    with pytest.raises(DatasetError, match=r"a\.png cannot be decoded"):
        list(loader([bad]))


def test_mosaics_hold_four_images(samples):
    """With mosaic each square holds four images, whose boxes lie in its quarters."""
    (batch,) = loader(samples[:1], augmentation=dataclasses.replace(NO_AUGMENTATION, mosaic=1), batch_size=1)
    boxes = batch.targets[0]["boxes"]
    assert len(boxes) == 8
    quarters = {(int(x > 32), int(y > 32)) for x, y in ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()}
    assert len(quarters) == 4


# ------------------------------------------------------------------------------------------------------------
# Encodings


class Counting(nn.Module):
    """A backbone that counts what it is given."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def encode(self, images):
        self.count += len(images)
        return images[:, :, ::8, ::8], images.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("options", "again"),
    [
        pytest.param({}, 0, id="memory"),
        pytest.param({"memory": 0}, 0, id="disk"),
        pytest.param({"memory": 2000}, 0, id="both"),
        pytest.param({"memory": 0, "disk": 0}, 11, id="neither"),
    ],
)
def test_encodings_are_computed_once_where_they_can_be_kept(samples, options, again):
    """The same batches whether encodings lie in memory, on disk or nowhere, which alone takes encoding anew."""
    model = Counting()
    kept = FeatureCache(model, **options)
    first = epoch(loader(samples, features=kept, cached_augmentations=1))
    assert model.count == 11
    second = epoch(loader(samples, features=kept, cached_augmentations=1))
    assert model.count == 11 + again
    pixels = epoch(loader(samples, augmentation=NO_AUGMENTATION))
    for one, other, plain in zip(first, second, pixels, strict=True):
        assert one.paths == other.paths == plain.paths
        for mine, its, expected in zip(one.images, other.images, model.encode(plain.images), strict=True):
            assert torch.equal(mine, its)
            assert torch.equal(mine, expected.half().float())


def test_views_come_in_turn(samples):
    """Three views last two epochs each; the seventh shows the first again, which is the images as they are."""
    kept = FeatureCache(Counting())
    made = loader(samples, features=kept, cached_augmentations=3)
    seen = []
    for number in range(1, 8):
        epoch(made, number)
        seen.append(kept.model.count)
    assert seen == [11, 11, 22, 22, 33, 33, 33]
    plain = dict(
        pair for batch in loader(samples, train=False) for pair in zip(batch.paths, batch.images, strict=True)
    )
    for batch in epoch(made, 7):
        for path, one in zip(batch.paths, batch.images[0], strict=True):
            assert torch.equal(one, plain[path][:, ::8, ::8].half().float())


def test_a_full_disk_costs_time_only(samples, monkeypatch):
    """Where the temporary file cannot grow, images are encoded anew each epoch."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    model = Counting()
    kept = FeatureCache(model, memory=0)
    first, second = (epoch(loader(samples, features=kept, cached_augmentations=1)) for _ in range(2))
    assert model.count == 22
    assert all(torch.equal(a.images[0], b.images[0]) for a, b in zip(first, second, strict=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like")
def test_freed_memory_is_kept() -> None:
    """Memory that is asked for again and again comes from the system once."""
    import resource

    keep_freed_memory()

    def pages(times: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            torch.full((2**24,), 1.0)  # 64 MiB, 16,384 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages(5)  # how it lies is found out by the first few
    assert pages(5) < 2**24 * 4 // 4096
