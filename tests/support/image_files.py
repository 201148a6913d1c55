"""Whole image files of every kind that decoders know, odd ones among them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from support.pictures import encode, photo


def jpeg(seed: int = 0, **save: object) -> bytes:
    return encode(photo(seed), quality=90, **save)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def mpo() -> bytes:
    return encode(photo(0), "mpo", save_all=True, append_images=[photo(1)])


CLEAN = {
    "baseline": jpeg,
    "optimised": lambda: jpeg(optimize=True),
    "progressive": lambda: jpeg(progressive=True),
    "restart markers": lambda: jpeg(restart_marker_rows=1),
    "grey": lambda: encode(photo(0).convert("L")),
    "cmyk": lambda: encode(photo(0).convert("CMYK")),
    "rgb": lambda: jpeg(keep_rgb=True),
    "4:4:4": lambda: jpeg(subsampling="4:4:4"),
    "exif": lambda: jpeg(exif=exif(6)),
    "broken exif": lambda: jpeg(exif=exif(6)).replace(b"Exif\0\0MM", b"Exif\0\0XX"),
    "exif longer than it says": lambda: jpeg(exif=exif(6)).replace(b"Exif\0\0", b"Exif\0\0XXXX"),
    "broken icc": lambda: jpeg(icc_profile=b"no profile" * 30),
    "trailing bytes": lambda: jpeg() + b"appended by a camera" * 50,
    "trailing zeros": lambda: jpeg() + bytes(5000),
    "padding before the end": lambda: jpeg()[:-2] + bytes(30) + b"\xff\xd9",
    "fill bytes before the end": lambda: jpeg()[:-2] + b"\xff" * 30 + b"\xff\xd9",
    "mpo": mpo,
    "unknown jfif revision": lambda: jpeg().replace(b"JFIF\0\x01", b"JFIF\0\x07"),
    "unknown adobe transform": lambda: encode(photo(0).convert("CMYK")).replace(
        b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\x09"
    ),
    "white": lambda: encode(Image.new("RGB", (1600, 1200), "white"), optimize=True),
    "half white": lambda: encode(half_white(), optimize=True, quality=95),
    "half white, progressive": lambda: encode(half_white(), progressive=True),
    "png": lambda: encode(photo(0), "png"),
    "16-bit png": lambda: encode(sixteen_bits(), "png"),
    "1-bit png": lambda: encode(photo(0).convert("1"), "png"),
    "palette png": lambda: encode(photo(0).convert("P"), "png", transparency=b"\0\x80" * 20),
    "transparent png": lambda: encode(photo(0).convert("RGBA"), "png"),
    "grey and alpha png": lambda: encode(photo(0).convert("LA"), "png"),
    "animated png": lambda: encode(photo(0), "png", save_all=True, append_images=[photo(1)]),
    "png with broken icc": lambda: encode(photo(0), "png", icc_profile=b"no profile" * 30),
    "png with trailing bytes": lambda: encode(photo(0), "png") + b"appended",
    "gif": lambda: encode(photo(0), "gif"),
    "bmp": lambda: encode(photo(0), "bmp"),
    "tiff": lambda: encode(photo(0), "tiff"),
    "lzw tiff": lambda: encode(photo(0), "tiff", compression="tiff_lzw"),
    "float tiff": lambda: encode(photo(0).convert("L").convert("F"), "tiff"),
    "lab tiff": lambda: encode(photo(0).convert("L").convert("RGB").convert("LAB"), "tiff"),
    "webp": lambda: encode(photo(0), "webp"),
    "lossless webp": lambda: encode(photo(0), "webp", lossless=True),
    "ppm": lambda: encode(photo(0), "ppm"),
    "1 x 1": lambda: encode(photo(0, (1, 1))),
    "very wide": lambda: encode(photo(0, (5000, 1))),
    "very tall": lambda: encode(photo(0, (1, 5000)), "png"),
}


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(photo(0).convert("L")).astype(np.uint16) * 257)


def half_white() -> Image.Image:
    image = Image.new("RGB", (1600, 1200), "white")
    image.paste(photo(0), (0, 0))
    return image
