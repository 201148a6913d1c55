from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.helpers import put
from trainworthy_audit import formats
from trainworthy_audit.errors import NoDatasetError
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

POINTS = [[1, 2], [30, 40]]
SETS: dict[str, dict[str, str | bytes]] = {
    "CVAT": {
        "annotations.xml": "<?xml version='1.0'?>\n<annotations><version>1.1</version>"
        '<image id="0" name="a.jpg"><box label="cat" xtl="1" ytl="2" xbr="30" ybr="40"/></image></annotations>'
    },
    "LabelMe": {
        "images/a.json": json.dumps(
            {"version": "5", "shapes": [{"label": "cat", "points": POINTS}], "imagePath": "a.jpg"}
        )
    },
    "Label Studio": {
        "export.json": json.dumps(
            [
                {
                    "id": 1,
                    "annotations": [{"result": [{"value": {"rectanglelabels": ["cat"]}}]}],
                    "data": {"image": "a"},
                }
            ]
        )
    },
    "KITTI": {"label_2/a.txt": "Car 0.00 0 -1.58 1.0 2.0 30.0 40.0 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n"},
    "OpenImages": {
        "boxes.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,/m/01,1,0,1,0,1\n"
    },
    "VoTT": {"a-asset.json": json.dumps({"asset": {"name": "a.jpg"}, "regions": [{"tags": ["cat"]}]})},
    "CreateML": {
        "notes.json": json.dumps(
            [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]
        )
    },
    "VIA": {
        "via.json": json.dumps({"_via_settings": {}, "_via_img_metadata": {"a.jpg1": {"filename": "a.jpg"}}}),
    },
    "WIDER FACE": {"split/wider_face_train_bbx_gt.txt": "images/a.jpg\n1\n1 2 30 40 0 0 0 0 0 0 \n"},
    "MOT": {"gt/gt.txt": "1,1,1,2,30,40,1,1,1\n"},
    "TFRecord": {"train.tfrecord": b"\0\1\2"},
    "a table of boxes": {
        "labels.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,cat,1,2,3,4\n"
    },
}


@pytest.mark.parametrize("title", SETS)
def test_formats_that_are_not_read_are_named_with_what_to_do(title: str, tmp_path: Path) -> None:
    """None of them is taken for a format that is read."""
    source = open_source(put(tmp_path, {"images/a.jpg": b"x", **SETS[title]}))
    with pytest.raises(NoDatasetError) as refusal:
        formats.read(source)
    assert f"It looks like {title}" in str(refusal.value)
    assert "which is not read: " in str(refusal.value)


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.tgz", "set.7z", "set.rar"])
def test_archives_that_are_not_read_are_named_with_how_to_unpack_them(name: str, tmp_path: Path) -> None:
    """Of archives only zips are read."""
    with pytest.raises(NoDatasetError, match="is an archive, and of archives only zips are read") as refusal:
        open_source(next(put(tmp_path, {name: b"x"}).iterdir()))
    assert str(tmp_path / name) in str(refusal.value.next_step)
