"""Where first weights come from, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch

from trainworthy_train.errors import WeightsError
from trainworthy_train.models import catalogue
from trainworthy_train.models.shared.darknet_files import save_weights
from trainworthy_train.models.yolov3_tiny import YOLOv3Tiny
from trainworthy_train.training import weights

MODEL = catalogue()["yolov3-tiny"]
CFG = "[yolo]\nmask=3,4,5\nanchors=1,2,3,4,5,6,7,8,9,10,11,12\n[yolo]\nmask=1,2,3\nanchors=1,2,3,4,5,6,7,8,9,10,11,12\n"


class Code:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (print, ("run",))


def test_a_state_dict_is_loaded_whatever_its_prefix(tmp_path):
    """Names with a wrapper's prefix, and a checkpoint around them, find their tensors."""
    source, model = YOLOv3Tiny(2), YOLOv3Tiny(2)
    wrapped = {f"module.{name}": value for name, value in source.state_dict().items()}
    torch.save({"model": wrapped, "epoch": 3}, tmp_path / "c.pt")
    said = weights.load(model, MODEL, str(tmp_path / "c.pt"))
    assert said == [f"weights from {tmp_path / 'c.pt'}"]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in source.state_dict().items())


def test_heads_of_other_classes_stay_new_and_are_named(tmp_path):
    """A checkpoint of 5 classes gives a model of 2 all but the output layers."""
    source, model = YOLOv3Tiny(5), YOLOv3Tiny(2)
    torch.save(source.state_dict(), tmp_path / "five.pt")
    said = weights.load(model, MODEL, str(tmp_path / "five.pt"))
    assert (
        said[1]
        == "new, because the file has none that fit: coarse.weight, coarse.bias, fine.weight, fine.bias"
    )
    assert torch.equal(model.last.conv.weight, source.last.conv.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    """A file whose tensors are of another model is refused, and the model keeps its own."""
    model = YOLOv3Tiny(2)
    before = model.last.conv.weight.clone()
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="another architecture"):
        weights.load(model, MODEL, str(tmp_path / "other.pt"))
    assert torch.equal(before, model.last.conv.weight)


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    """A pickle that would execute something is refused before it does."""
    torch.save({"model": Code()}, tmp_path / "bad.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Code(), protocol=2))
    for name in ("bad.pt", "raw.pt"):
        with pytest.raises(WeightsError, match="code of a stranger"):
            weights.load(YOLOv3Tiny(2), MODEL, str(tmp_path / name))
    assert capsys.readouterr().out == ""


def test_damaged_and_foreign_files_are_refused(tmp_path):
    """A cut-off checkpoint, one without tensors, and one that is not there say what is wrong."""
    torch.save(YOLOv3Tiny(2).state_dict(), tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:5000])
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load(YOLOv3Tiny(2), MODEL, str(tmp_path / "cut.pt"))
    with pytest.raises(WeightsError, match="no named tensors"):
        weights.load(YOLOv3Tiny(2), MODEL, str(tmp_path / "none.pt"))
    with pytest.raises(WeightsError, match="one of: none"):
        weights.load(YOLOv3Tiny(2), MODEL, str(tmp_path / "gone.pt"))
    save_weights(YOLOv3Tiny(2), tmp_path / "x.weights")
    with pytest.raises(WeightsError, match="does not read darknet"):
        weights.load(catalogue()["small"].build(2, 64), catalogue()["small"], str(tmp_path / "x.weights"))


def test_darknet_weights_bring_the_anchors_of_the_cfg_beside_them(tmp_path):
    """x.weights is loaded with the anchors and masks of x.cfg."""
    source, model = YOLOv3Tiny(2), YOLOv3Tiny(2)
    save_weights(source, tmp_path / "x.weights", seen=640)
    (tmp_path / "x.cfg").write_text(CFG)
    said = weights.load(model, MODEL, str(tmp_path / "x.weights"))
    assert said == [
        f"13 of 13 layers from {tmp_path / 'x.weights'}, trained on 640 images",
        f"anchors from {tmp_path / 'x.cfg'}",
    ]
    assert model.masks == ((3, 4, 5), (1, 2, 3))


def test_weights_from_an_address_are_fetched_once(tmp_path, monkeypatch, httpd):
    """A URL is downloaded into the user's cache, and not again."""
    monkeypatch.setattr(weights.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    torch.save(YOLOv3Tiny(2).state_dict(), tmp_path / "w.pt")
    address = httpd(tmp_path)
    assert weights.load(YOLOv3Tiny(2), MODEL, f"{address}/w.pt") == [f"weights from {address}/w.pt"]
    (tmp_path / "w.pt").unlink()
    assert weights.load(YOLOv3Tiny(2), MODEL, f"{address}/w.pt")
    with pytest.raises(WeightsError, match="cannot download"):
        weights.load(YOLOv3Tiny(2), MODEL, f"{address}/other.pt")


@pytest.fixture
def httpd():
    """A web server over a folder."""
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    servers = []

    def serve(folder):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
