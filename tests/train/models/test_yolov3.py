"""YOLOv3 and its tiny variant: darknet's files, decoding and loss."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainworthy_train.errors import WeightsError
from trainworthy_train.models.shared import darknet_files
from trainworthy_train.models.shared.darknet import Darknet
from trainworthy_train.models.shared.darknet_files import anchors_of, load_weights, save_weights
from trainworthy_train.models.yolov3 import YOLOv3
from trainworthy_train.models.yolov3_tiny import YOLOv3Tiny

# ------------------------------------------------------------------------------------------------------------
# An independent reading of darknet's configuration: layer by layer, as darknet itself works.


def conv(filters, size=3, stride=1, *, normalised=True):
    return ("conv", filters, size, stride, normalised)


def full_layers(classes):
    """The layers of yolov3.cfg; routes and shortcuts count back from themselves."""
    layers = [conv(32)]
    for width, many in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        layers.append(conv(width, 3, 2))
        for _ in range(many):
            layers += [conv(width // 2, 1), conv(width), ("shortcut", -3)]
    out = 3 * (5 + classes)
    for scale, width in enumerate((512, 256, 128)):
        if scale:
            layers += [("route", [-4]), conv(width, 1), ("up",), ("route", [-1, (61, 36)[scale - 1]])]
        layers += [conv(width, 1), conv(2 * width)] * 3 + [conv(out, 1, normalised=False), ("yolo",)]
    return layers


def tiny_layers(classes):
    """The layers of yolov3-tiny.cfg."""
    out = 3 * (5 + classes)
    layers = []
    for width in (16, 32, 64, 128, 256):
        layers += [conv(width), ("pool", 2)]
    layers += [conv(512), ("pool", 1), conv(1024), conv(256, 1), conv(512), conv(out, 1, normalised=False)]
    layers += [("yolo",), ("route", [-4]), conv(128, 1), ("up",), ("route", [-1, 8]), conv(256)]
    return [*layers, conv(out, 1, normalised=False), ("yolo",)]


def run(layers, numbers, x):  # noqa: C901 - one branch a kind of layer
    """What these layers make of `x` with the weights in `numbers`, taken in darknet's order; and how many it took."""
    at, outputs, found = 0, [], []

    def take(count):
        nonlocal at
        at += count
        return torch.from_numpy(numbers[at - count : at])

    for index, layer in enumerate(layers):
        if layer[0] == "conv":
            _, filters, size, stride, normalised = layer
            bias = take(filters)
            if normalised:
                scale, mean, variance = take(filters), take(filters), take(filters)
            kernel = take(filters * x.shape[1] * size * size).reshape(filters, x.shape[1], size, size)
            x = functional.conv2d(x, kernel, stride=stride, padding=size // 2)
            if normalised:
                x = (
                    (x - mean[:, None, None])
                    / torch.sqrt(variance[:, None, None] + 1e-5)
                    * scale[:, None, None]
                )
            x = x + bias[:, None, None]
            if normalised:
                x = torch.where(x > 0, x, 0.1 * x)
        elif layer[0] == "shortcut":
            x = x + outputs[index + layer[1]]
        elif layer[0] == "route":
            x = torch.cat([outputs[at if at >= 0 else index + at] for at in layer[1]], 1)
        elif layer[0] == "up":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif layer[0] == "pool" and layer[1] == 2:
            x = functional.max_pool2d(x, 2, 2)
        elif layer[0] == "pool":
            x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), mode="replicate"), 2, 1)
        else:
            found.append(x)
        outputs.append(x)
    return found, at


def numbers_for(model, seed=0):
    """Random weights in darknet's order, tame enough for 75 layers."""
    random = np.random.default_rng(seed)
    parts = []
    for _, convolution, norm in darknet_files.layers(model):
        count = convolution.out_channels
        parts.append(random.normal(0, 0.1, count))
        if norm is not None:
            parts += [
                random.uniform(0.5, 1.0, count),
                random.normal(0, 0.1, count),
                random.uniform(0.5, 1.5, count),
            ]
        fan = convolution.weight[0].numel()
        parts.append(random.normal(0, fan**-0.5, convolution.weight.numel()))
    return np.concatenate(parts).astype("<f4")


def write(file, numbers, seen=7):
    file.write_bytes(struct.pack("<iiiq", 0, 2, 0, seen) + numbers.tobytes())
    return file


@pytest.mark.parametrize(("build", "layers", "parameters"), [
    (YOLOv3Tiny, tiny_layers, 8_852_366),
    pytest.param(YOLOv3, full_layers, 61_949_149, marks=pytest.mark.slow),
])  # fmt: skip
def test_a_weights_file_gives_what_darknet_computes(tmp_path, build, layers, parameters):
    """A file filled layer by layer after darknet's configuration gives the same raw outputs, with 80 classes."""
    model = build(80).eval()
    assert sum(each.numel() for each in model.parameters()) == parameters
    numbers = numbers_for(model)
    file = write(tmp_path / "made.weights", numbers)
    loaded = load_weights(model, file)
    assert (loaded.filled, loaded.total, loaded.seen) == (len(list(darknet_files.layers(model))),) * 2 + (7,)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, taken = run(layers(80), numbers, images)
        found = model.features(images)
    assert taken == len(numbers)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_whole_yolov3_file_has_darknets_size(tmp_path):
    """A saved YOLOv3 of 80 classes has the 248,007,048 bytes that yolov3.weights has, and reads back as it was."""
    model, again = YOLOv3(80), YOLOv3(80)
    save_weights(model, tmp_path / "y.weights", seen=32_013_312)
    assert (tmp_path / "y.weights").stat().st_size == 248_007_048
    assert load_weights(again, tmp_path / "y.weights").seen == 32_013_312
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, again.state_dict()[name]), name


def test_saved_weights_read_back(tmp_path):
    """What is written is read back to the same tensors, byte for byte."""
    first, second = YOLOv3Tiny(3), YOLOv3Tiny(3)
    save_weights(first, tmp_path / "a.weights")
    load_weights(second, tmp_path / "a.weights")
    save_weights(second, tmp_path / "b.weights")
    assert (tmp_path / "a.weights").read_bytes() == (tmp_path / "b.weights").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.weights", "b.weights"]


def test_file_of_another_number_of_classes_fills_all_but_the_heads(tmp_path):
    """COCO's 80 classes give a model of 2 its body; the output layers stay new and are named."""
    other, model = YOLOv3Tiny(80), YOLOv3Tiny(2)
    save_weights(other, tmp_path / "coco.weights")
    before = model.coarse.weight.clone()
    loaded = load_weights(model, tmp_path / "coco.weights")
    assert loaded.new == ("coarse", "fine")
    assert torch.equal(model.last_fine.conv.weight, other.last_fine.conv.weight)
    assert torch.equal(model.coarse.weight, before)


def test_file_of_the_first_layers_fills_these(tmp_path):
    """A file that ends after a layer, as darknet53.conv.74 does, fills that many; the old header is read too."""
    model = YOLOv3Tiny(2)
    numbers = numbers_for(model)
    first = 16 * 27 + 4 * 16
    second = 32 * 16 * 9 + 4 * 32
    file = tmp_path / "tiny.conv.3"
    file.write_bytes(struct.pack("<iiii", 0, 1, 0, 5) + numbers[: first + second].tobytes())
    loaded = load_weights(model, file)
    assert (loaded.filled, loaded.seen) == (2, 5)
    assert np.array_equal(model.stages[0].bn.bias.detach().numpy(), numbers[:16])


@pytest.mark.parametrize("cut", [1, 4, 400])
def test_file_that_ends_within_a_layer_is_refused(tmp_path, cut):
    """A file cut off within a layer is of no use, and says so; the model keeps what it had."""
    model = YOLOv3Tiny(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data = write(tmp_path / "whole.weights", numbers_for(model)).read_bytes()
    (tmp_path / "cut.weights").write_bytes(data[:-cut])
    with pytest.raises(WeightsError, match="cut off"):
        load_weights(model, tmp_path / "cut.weights")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_files_that_are_no_weights_are_refused(tmp_path):
    """An empty file and a picture are no weights."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
    for name in ("empty", "picture"):
        with pytest.raises(WeightsError, match="not a darknet weights file"):
            load_weights(YOLOv3Tiny(1), tmp_path / name)


CFG = """
[net]
width=416
# the coarse scale
[yolo]
mask = 3,4,5
anchors = 10,14,  23,27,  37,58,  81,82,  135,169,  344,319
[yolo]
mask = 1,2,3 ; as trained
anchors = 10,14,  23,27,  37,58,  81,82,  135,169,  344,319
"""


def test_anchors_and_masks_of_a_cfg_are_honoured_and_saved(tmp_path):
    """Anchors and masks come from the configuration, and a state dict carries them to another model."""
    (tmp_path / "tiny.cfg").write_text(CFG)
    anchors, masks = anchors_of(tmp_path / "tiny.cfg")
    assert masks == [(3, 4, 5), (1, 2, 3)]
    assert anchors[4] == (135, 169)
    model, other = YOLOv3Tiny(2), YOLOv3Tiny(2)
    model.use_anchors([(2 * width, height) for width, height in anchors], masks)
    other.load_state_dict(model.state_dict())
    assert other.masks == ((3, 4, 5), (1, 2, 3))
    assert other.anchors[0].tolist() == [20, 14]


@pytest.mark.parametrize(("text", "said"), [
    ("[net]\nwidth=1\n", "no \\[yolo\\] section"),
    ("[yolo]\nmask=0,1,9\nanchors=1,2,3,4\n", "beyond the 2"),
    ("[yolo]\nmask=0\nanchors=1,x\n", "readable anchors"),
    ("[yolo]\nmask=0\nanchors=1,2,3\n", "pairs of positive numbers"),
    ("hello\n", "line 1"),
])  # fmt: skip
def test_broken_cfg_says_what_is_wrong(tmp_path, text, said):
    """A configuration without usable anchors says where and why."""
    (tmp_path / "x.cfg").write_text(text)
    with pytest.raises(WeightsError, match=said):
        anchors_of(tmp_path / "x.cfg")


# ------------------------------------------------------------------------------------------------------------
# Decoding and loss, by hand


class Fixed(Darknet):
    """A detector of one scale of 2 x 2 cells of 32 pixels, whose raw outputs are given."""

    strides = (32,)

    def __init__(self, raw, classes=2, anchors=((16, 16), (40, 20))):
        super().__init__(classes, anchors, ((0, 1),))
        self.raw = raw

    def features(self, images):
        return [self.raw]


def raw(value=0.0, classes=2):
    """(1, 2 anchors, 5 + C, 2, 2) outputs that see nothing."""
    outputs = torch.full((1, 2, 5 + classes, 2, 2), value)
    outputs[:, :, 4] = -100.0
    return outputs


def test_a_box_is_decoded_as_the_paper_says():
    """Centre: (sigmoid(t) + cell) * stride; size: anchor * exp(t); score: objectness times class."""
    outputs = raw()
    outputs[0, 1, :, 1, 0] = torch.tensor(
        [math.log(3), -math.log(3), math.log(1.2), 0.0, math.log(4), 100.0, -100.0]
    )
    found = Fixed(outputs.reshape(1, -1, 2, 2)).eval()(torch.zeros(1, 3, 64, 64))
    assert len(found) == 1
    # column 0, row 1; offsets 0.75 and 0.25: centre (24, 40); size 48 x 20; score 0.8 of class 0
    assert torch.allclose(found[0]["boxes"], torch.tensor([[0.0, 30.0, 48.0, 50.0]]), atol=1e-4)
    assert torch.allclose(found[0]["scores"], torch.tensor([0.8]), atol=1e-5)
    assert found[0]["labels"].tolist() == [0]


def test_the_loss_of_one_object_is_what_one_computes_by_hand():
    """One object teaches its anchor's cell; every other output is taught that nothing is there."""
    outputs = torch.zeros(1, 2, 7, 2, 2)
    model = Fixed(outputs.reshape(1, -1, 2, 2))
    # 40 x 24 around (48, 16): anchor 1 (40 x 20) fits best; column 1, row 0, in the middle of its cell
    target = {"boxes": torch.tensor([[28.0, 4.0, 68.0, 28.0]]), "labels": torch.tensor([1])}
    loss = model(torch.zeros(1, 3, 64, 64), [target])
    weight = 2 - 40 * 24 / 64**2
    half = 2 * math.log(2)  # two offsets of one half, each predicted as one half
    assert loss["box"].item() == pytest.approx(weight * (half + math.log(24 / 20) ** 2 / 2), rel=1e-5)
    assert loss["class"].item() == pytest.approx(2 * math.log(2), rel=1e-5)
    # Predictions: the anchors in the middle of each cell. None but the taught one overlaps the object by half.
    assert loss["objectness"].item() == pytest.approx(8 * math.log(2), rel=1e-5)


def test_an_output_that_predicts_the_object_well_is_not_taught_that_nothing_is_there():
    """Another anchor of the same cell that overlaps the object by more than half is left alone."""
    model = Fixed(torch.zeros(1, 14, 2, 2), anchors=((40, 20), (40, 24)))
    target = {"boxes": torch.tensor([[28.0, 4.0, 68.0, 28.0]]), "labels": torch.tensor([0])}
    loss = model(torch.zeros(1, 3, 64, 64), [target])
    assert loss["objectness"].item() == pytest.approx(7 * math.log(2), rel=1e-5)


def test_images_without_objects_have_a_loss_and_finite_gradients():
    """An empty batch teaches objectness only; a box of no size and one beyond the edge break nothing."""
    model = YOLOv3Tiny(1).train()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    odd = {
        "boxes": torch.tensor([[70.0, 5.0, 70.0, 5.0], [-9.0, 0.0, 3.0, 9.0]]),
        "labels": torch.tensor([0, 0]),
    }
    loss = model(torch.rand(2, 3, 64, 64), [empty, empty])
    assert loss["box"] == loss["class"] == 0
    assert loss["objectness"] > 0
    total = sum(model(torch.rand(2, 3, 64, 64), [empty, odd]).values())
    total.backward()
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_the_loss_in_evaluation_leaves_the_statistics_alone():
    """The validation loss changes no running mean."""
    model = YOLOv3Tiny(1).eval()
    before = model.stages[0].bn.running_mean.clone()
    model(
        torch.rand(1, 3, 64, 64), [{"boxes": torch.tensor([[1.0, 1, 30, 30]]), "labels": torch.tensor([0])}]
    )
    assert torch.equal(model.stages[0].bn.running_mean, before)


@pytest.mark.slow
def test_a_tiny_model_learns_one_image():
    """Sixty steps on one image with one object find it."""
    torch.manual_seed(0)
    model = YOLOv3Tiny(2)
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0, 16:48, 8:40] = 1.0
    target = [{"boxes": torch.tensor([[8.0, 16.0, 40.0, 48.0]]), "labels": torch.tensor([1])}]
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(model(image, target).values()).backward()
        optimizer.step()
    found = model(image)[0]
    assert found["labels"][0] == 1
    assert (found["boxes"][0] - target[0]["boxes"][0]).abs().max() < 3
