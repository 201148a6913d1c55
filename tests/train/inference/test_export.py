"""Detectors as files for other programs."""

from __future__ import annotations

import pytest
import torch

from trainworthy_train.errors import TrainingError
from trainworthy_train.inference import export
from trainworthy_train.inference.detector import Detector
from trainworthy_train.models import catalogue
from trainworthy_train.models.shared.darknet_files import anchors_of, load_weights, read_cfg
from trainworthy_train.models.yolov3 import YOLOv3
from trainworthy_train.models.yolov3_tiny import YOLOv3Tiny

SIDE = 96
STEPS = 25
QUICK = {"small"}
#: YOLOv3 shares all but its body with the tiny one, and is too large to be taught here what an export could show.
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in catalogue()
    if name != "yolov3"
]
# PyTorch discourages TorchScript, which phones and C++ programs still run.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

NAMED = ("cat", "dog", "hen")


def detector(module, side):
    return Detector(module, "any", NAMED, side, 1, None)


def side_of(name):
    """How large pictures are: small, but for a detector that would enlarge them, which files do otherwise."""
    entry = catalogue()[name]
    return entry.image_size if entry.fixed_size else SIDE


def pictures(count=2, seed=3, side=SIDE):
    """Smooth random pictures, each with a bright rectangle."""
    random = torch.Generator().manual_seed(seed)
    made = torch.nn.functional.interpolate(
        torch.rand(count, 3, 10, 10, generator=random), size=side, mode="bilinear"
    )
    made[:, :, 18:54, 24:66] = 1.0
    return list(made)


@pytest.fixture(scope="module")
def seeing():
    """A detector of each name that has looked at two pictures for a few steps, so that it finds things."""

    def build(name):
        torch.manual_seed(0)
        entry = catalogue()[name]
        model = entry.build(len(NAMED), side_of(name))
        if name == "small":
            entry.load(model, "imagenet")
        target = {"boxes": torch.tensor([[24.0, 18, 66, 54]]), "labels": torch.tensor([1])}
        optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], 1e-3)
        model.eval()  # the statistics stay, so that what is learnt holds for what is exported
        for _ in range(STEPS):
            optimizer.zero_grad()
            sum(model(torch.stack(pictures(side=side_of(name))), [target, target]).values()).backward()
            optimizer.step()
        return model.eval()

    return build


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
@pytest.mark.parametrize("name", NAMES)
def test_an_exported_file_finds_what_the_model_finds(tmp_path, seeing, name, to):
    """On pictures that the export never saw the file gives the model's boxes, scores and labels."""
    model, file, side = seeing(name), tmp_path / "made", side_of(name)
    said = export.write(detector(model, side), to, file, pictures(side=side))
    assert "equal to the model on 3 images" in said[0]
    other = pictures(1, seed=9, side=side)[0][None]
    with torch.no_grad():
        expected = model(other)[0]
    found = dict(zip(export.OUTPUTS, run(file, to, other), strict=True))
    sure = expected["scores"] > 0.05
    assert sure.any()
    assert export.agree(expected, found, min_score=0.05) == [True, True]
    # The strongest are told in the same order, but for ties.
    assert torch.allclose(expected["scores"][sure], found["scores"][: sure.sum()], atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def run(file, to, images):
    if to == "torchscript":
        return torch.jit.load(str(file))(images)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    return [torch.from_numpy(part) for part in session.run(None, {"images": images.numpy()})]


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    """A detector whose answer depends on what a trace cannot see is refused, and leaves nothing."""

    class Moody(torch.nn.Module):
        def forward(self, images):
            side = 9.0 if images.mean() > 0.5 else 5.0
            return [{"boxes": torch.full((1, 4), side), "scores": torch.ones(1), "labels": torch.zeros(1)}]

    bright, dark = torch.ones(3, 32, 32), torch.zeros(3, 32, 32)
    with pytest.raises(TrainingError, match="does not compute what the model does"):
        export.write(detector(Moody(), 32), "torchscript", tmp_path / "m.pt", [bright, dark])
    assert not list(tmp_path.iterdir())


def test_darknet_files_are_complete_and_read_back(tmp_path):
    """Weights, configuration and names; the weights fill another model to the same outputs."""
    torch.manual_seed(0)
    model, again = YOLOv3Tiny(3).eval(), YOLOv3Tiny(3).eval()
    export.write(detector(model, 416), "darknet", tmp_path / "t.weights")
    assert (tmp_path / "t.names").read_text() == "cat\ndog\nhen\n"
    load_weights(again, tmp_path / "t.weights")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(
            torch.equal(a, b) for a, b in zip(model.features(images), again.features(images), strict=True)
        )
    anchors, masks = anchors_of(tmp_path / "t.cfg")
    assert (anchors, masks) == ([tuple(pair) for pair in model.anchors.tolist()], list(model.masks))


@pytest.mark.parametrize(("build", "sections"), [(YOLOv3, 107), (YOLOv3Tiny, 24)])
def test_the_configuration_describes_the_network(tmp_path, build, sections):
    """[net] and as many layers as darknet's own has, and the filters that the network has."""
    model = build(80)
    (tmp_path / "y.cfg").write_text(model.cfg(416))
    found = read_cfg(tmp_path / "y.cfg")
    assert len(found) == 1 + sections
    filters = [int(section["filters"]) for section in found if section["type"] == "convolutional"]
    assert filters == [conv.out_channels for conv in model.modules() if isinstance(conv, torch.nn.Conv2d)]


def test_only_a_yolo_goes_to_darknet(tmp_path):
    """Another detector has no darknet form, and says what to do."""
    with pytest.raises(TrainingError, match="only YOLOv3") as caught:
        export.write(detector(torch.nn.Identity(), 32), "darknet", tmp_path / "x")
    assert caught.value.next_step == "trainworthy export RUN --to onnx"


def test_a_folder_that_is_not_there_is_said(tmp_path):
    """Nothing is written where there is no folder to write to."""
    with pytest.raises(TrainingError, match="there is no folder"):
        export.write(detector(torch.nn.Identity(), 32), "onnx", tmp_path / "no" / "x.onnx")
