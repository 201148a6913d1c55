"""What every detector in the catalogue keeps to."""

from __future__ import annotations

import pytest
import torch

from trainworthy_train.models import catalogue

QUICK = {"small", "ssdlite", "yolov3-tiny"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in catalogue()]
CLASSES = 3

EMPTY = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
FULL = {
    "boxes": torch.tensor([[10.0, 10, 90, 120], [5, 5, 5, 9], [100, 30, 140, 70]]),
    "labels": torch.tensor([2, 0, 0]),
}


@pytest.fixture(scope="module")
def built():
    """A detector of each name, made once."""
    made = {}

    def build(name):
        if name not in made:
            torch.manual_seed(0)
            made[name] = catalogue()[name].build(CLASSES, 160)
        return made[name]

    return build


def pictures(count):
    return torch.rand(count, 3, 160, 160, generator=torch.Generator().manual_seed(1))


def statistics(model):
    return {name: value.clone() for name, value in model.named_buffers() if "running" in name}


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_any_kind_have_a_finite_loss(built, name):
    """Objects or none, one image or several, a box without size: each part of the loss is a finite number."""
    model = built(name).train()
    for images, targets in ((2, [FULL, EMPTY]), (2, [EMPTY, EMPTY]), (1, [FULL]), (1, [EMPTY])):
        parts = model(pictures(images), targets)
        assert parts
        assert all(part.ndim == 0 and torch.isfinite(part) for part in parts.values()), (images, parts)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reaches_what_is_to_learn(built, name):
    """The loss of a batch with objects has gradients for the parameters that are trained."""
    model = built(name).train()
    model.zero_grad()
    sum(model(pictures(2), [FULL, FULL]).values()).backward()
    learning = [each for each in model.parameters() if each.requires_grad]
    reached = [each for each in learning if each.grad is not None]
    assert len(reached) >= 0.9 * len(learning)
    assert all(torch.isfinite(each.grad).all() for each in reached)


@pytest.mark.parametrize("name", NAMES)
def test_a_validation_loss_changes_nothing_and_repeats(built, name):
    """In evaluation mode the loss is the same each time; statistics, modes and random numbers stay as they were."""
    model = built(name).eval()
    before, state = statistics(model), torch.get_rng_state()
    with torch.no_grad():
        first, second = (model(pictures(2), [FULL, EMPTY]) for _ in range(2))
    assert all(torch.equal(first[part], second[part]) for part in first)
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", NAMES)
def test_detections_name_labels_that_there_are(built, name):
    """Each image has its detections: boxes, scores from high to low, labels counted from 0."""
    model = built(name).eval()
    with torch.no_grad():
        found = model(pictures(2))
    assert len(found) == 2
    for each in found:
        count = len(each["scores"])
        assert each["boxes"].shape == (count, 4)
        assert each["labels"].shape == (count,)
        assert each["labels"].dtype == torch.int64
        assert ((each["labels"] >= 0) & (each["labels"] < CLASSES)).all()
        assert (each["scores"].diff() <= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_its_file(name):
    """The catalogue's name is the model's own, and its first word of weights is one that it knows."""
    model = catalogue()[name]
    assert model.name == name
    assert "none" in model.weights
    assert model.image_size % model.size_step == 0


@pytest.mark.parametrize("name", NAMES)
def test_judging_gives_what_both_looks_give(built, name):
    """A detector that judges in one look gives the losses and detections of two, and is as it was."""
    model = built(name).eval()
    with torch.no_grad():
        parts, found = model.judge(pictures(2), [FULL, EMPTY])
        apart, seen = model(pictures(2), [FULL, EMPTY]), model(pictures(2))
    assert all(torch.equal(parts[key], apart[key]) for key in apart)
    assert all(
        torch.equal(one[key], other[key]) for one, other in zip(found, seen, strict=True) for key in other
    )
    assert not any("forward" in vars(module) for module in model.modules())
