"""What the bytes of an image file say without decoding a pixel: format, size, end, orientation.

Imports nothing but the standard library, so that worker processes start fast.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Signatures that stand at the very start of a file, and the format that each one means.
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"8BPS", "psd"),
    (b"\0\0\x01\0", "ico"),
)
_BRANDS = {b"avif": "avif", b"avis": "avif"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "heif"
)
_ORIENTATION = 0x0112
_SHORT = 3
_MPO_COUNT = 0xB001

#: Markers of JPEG: those that begin a frame, those without a segment, and three of their own.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_TABLES = 0xC4
_END = 0xD9
_SCAN = 0xDA

#: Some cameras and hardware encoders round the picture up with at most this many zero bytes before the end marker.
PADDING = 64

#: So many zero bytes are more than forty coefficients in a row that are alike, whatever the codes.
_ZEROS = bytes(128)


def sniff(data: bytes) -> str | None:
    """The format by content: "jpeg", "png", "bmp", "tiff", "webp", ...; None where it is no image."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _brand(data)
    if data[:1] == b"P" and data[1:2] in b"123456fFyY" and data[2:3] in b" \t\r\n#" and len(data) > 2:
        return "ppm"
    return None


def _brand(data: bytes) -> str | None:
    """AVIF or HEIF by the major brand, or by the first compatible one that decides."""
    end = min(struct.unpack(">I", data[:4])[0], len(data), 256)
    for start in (8, *range(16, end - 3, 4)):
        found = _BRANDS.get(data[start : start + 4])
        if found and not (start == 8 and data[8:12] in {b"mif1", b"msf1"} and b"avif" in data[16:end]):
            return found
    return None


def no_image(data: bytes) -> str:
    """Why these bytes, which `sniff` does not know, are no image: a sentence for people."""
    if not data:
        return "empty file"
    if not data.strip(b"\0"):
        return f"not an image: {len(data):,} zero bytes"
    if data.startswith(b"version https://git-lfs"):
        return "not an image but a Git LFS pointer to one: `git lfs pull` fetches it"
    start = data[:24]
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"not an image: begins with {start.decode('ascii')!r}"
    return f"not an image: begins with the bytes {start[:8].hex(' ')}"


# -----------------------------------------------------------------------------------------------------------
# JPEG


@dataclass(frozen=True, slots=True)
class Jpeg:
    """What the segments of a JPEG before its first scan say."""

    process: int  # low byte of the SOF marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless
    precision: int  # bits a sample
    width: int
    height: int
    components: int
    scan: int  # where the first scan (SOS) begins
    orientation: int | None
    pictures: int  # in the file, as it says itself: more than one in an MPO

    @property
    def fast(self) -> bool:
        """Whether simplejpeg may have it: it crashes on lossless files, and knows no other precision."""
        return self.process in {0xC0, 0xC1, 0xC2, 0xC9, 0xCA} and self.precision == 8

    @property
    def mode(self) -> str:
        """Pillow's name for its pixels."""
        return {1: "L", 3: "RGB", 4: "CMYK"}.get(self.components, "RGB")


def read_jpeg(data: bytes) -> Jpeg | str:
    """Walk the segments up to the first scan. Returns the reason, for people, where they lead to none."""
    frame: tuple[int, int, int, int, int] | None = None
    orientation, pictures = None, 1
    for marker, at, end in _segments(data):
        body = at + 4
        if marker == _END:
            return "the file has a header but no picture"
        if marker == _SCAN:
            before = "the picture begins before its size is declared"
            return Jpeg(*frame, at, orientation, pictures) if frame else before
        if marker in _FRAMES and body + 6 <= len(data):
            precision, height, width, components = struct.unpack(">BHHB", data[body : body + 6])
            frame = (marker, precision, width, height, components)
        elif marker == 0xE1 and orientation is None and data[body : body + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[body + 6 : end])
        elif marker == 0xE2 and data[body : body + 4] == b"MPF\0":
            pictures = max(2, _mpo_pictures(data[body + 4 : end]))
    return "the file ends within its header"


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where it stands, where its segment ends) up to the end marker, as decoders look for them."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
            yield marker, at, end
            if marker == _END:
                return
            at = end


def _mpo_pictures(index: bytes) -> int:
    """The number of pictures that the index of an MPO gives; 0 where it gives none."""
    order: Literal["little", "big"] = "little" if index[:2] == b"II" else "big"
    start = int.from_bytes(index[4:8], order)
    count = int.from_bytes(index[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * count, len(index) - 11), 12):
        if int.from_bytes(index[at : at + 2], order) == _MPO_COUNT:
            return int.from_bytes(index[at + 8 : at + 12], order)
    return 0


def jpeg_trailing(data: bytes, header: Jpeg) -> int:
    """How many bytes follow the last end marker; 0 where there is none, or where the header speaks of them."""
    end = data.rfind(b"\xff\xd9", header.scan)
    return len(data) - end - 2 if end >= 0 and header.pictures == 1 else 0


def restarts(data: bytes, header: Jpeg) -> list[int]:
    """Where the restart markers of its scans stand."""
    return [match.start() for match in re.compile(rb"\xff[\xd0-\xd7]").finditer(data, header.scan)]


def has_end(data: bytes, header: Jpeg) -> bool:
    """Whether an end marker follows the picture."""
    return data.rfind(b"\xff\xd9", header.scan) >= 0


def only_padding(data: bytes, header: Jpeg) -> bool:
    """Whether all that stands between the picture and its end marker, up to `PADDING`, are zero bytes."""
    end = data.rfind(b"\xff\xd9", header.scan)
    filler = end - len(data[:end].rstrip(b"\0"))
    return 0 < filler <= PADDING


def zeroed(data: bytes, header: Jpeg) -> int | None:
    """Where zero bytes begin that no encoder writes, as lost disk sectors leave them; None where there are none.

    Decoders often take them without a word. Zero bits are the first code of each Huffman table, again and again.
    Where that is the end of a block, a plain area of the picture may be a long run of them; where it is a
    coefficient, they would be block after block with all coefficients alike, which no picture has.
    """
    run = data.find(_ZEROS, header.scan)
    if run < 0:
        return None
    first: dict[int, int] = {}
    coefficients = False  # whether zero bits in the scan before the marker are coefficients
    for marker, at, end in _segments(data):
        while 0 <= run < at:
            if coefficients:
                return run
            run = data.find(_ZEROS, max(at, run + 1))
        if marker == _END:
            return None
        if marker == _TABLES:
            first |= _first_symbols(data[at + 4 : end])
        elif marker == _SCAN:
            coefficients = _zero_is_coefficient(data[at + 4 : end], first)
    return run if coefficients and run >= 0 else None


def _first_symbols(tables: bytes) -> dict[int, int]:
    """{class and number of each Huffman table: the symbol whose code is zero bits}."""
    first: dict[int, int] = {}
    at = 0
    while at + 17 < len(tables):
        first[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return first


def _zero_is_coefficient(scan: bytes, first: Mapping[int, int]) -> bool:
    """Whether in a scan with this header some component's zero bits are AC coefficients, not the end of a block."""
    many = scan[0] if scan else 0
    if len(scan) < 4 + 2 * many or scan[2 + 2 * many] == 0:  # no AC coefficients in it
        return False
    tables = {0x10 | scan[2 + 2 * number] & 0x0F for number in range(many)}
    return any(first.get(table, 0) & 0x0F for table in tables)


def essentials(data: bytes, header: Jpeg) -> bytes:
    """The same picture without metadata and stray bytes before its first scan, and with the oddities set right.

    That is all that decoders warn of although it is no damage: an unknown JFIF revision or Adobe colour transform, the
    spectral range of a sequential scan, segments that are longer than they say.
    """
    parts = [data[:2]]
    for marker, at, end in _segments(data):
        segment = bytearray(data[at:end])
        if marker == _SCAN:
            if header.process in {0xC0, 0xC1}:
                segment[-3:] = b"\x00\x3f\x00"
            return b"".join([*parts, segment, data[end:]])
        if marker == 0xE0 and segment[4:9] == b"JFIF\0":
            segment[9:11] = b"\x01\x01"
        elif marker == 0xEE and segment[4:9] == b"Adobe" and len(segment) >= 16:
            segment[15] = min(segment[15], 1 if header.components == 3 else 2)
        elif marker not in _FRAMES | {_TABLES, 0xCC, 0xDB, 0xDD}:
            continue
        parts.append(bytes(segment))
    return data


def exif_orientation(tiff: bytes) -> int | None:
    """The orientation in an EXIF block as written: 1..8, or a value that EXIF does not know; None for none."""
    order: Literal["little", "big"]
    if tiff[:4] == b"II*\0":
        order = "little"
    elif tiff[:4] == b"MM\0*":
        order = "big"
    else:
        return None
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        if int.from_bytes(tiff[at : at + 2], order) == _ORIENTATION:
            kind = int.from_bytes(tiff[at + 2 : at + 4], order)
            return int.from_bytes(tiff[at + 8 : at + (10 if kind == _SHORT else 12)], order)
    return None


# -----------------------------------------------------------------------------------------------------------
# PPM


def ppm_depth(data: bytes) -> int:
    """Bits a sample of a PPM or PGM: 16 where its largest value needs more than 8, else 8."""
    words = re.sub(rb"#[^\n]*", b"", data[:1024]).split()
    largest = words[3] if len(words) > 3 and data[:2] in {b"P2", b"P3", b"P5", b"P6"} else b""
    return 16 if largest.isdigit() and int(largest[:9]) > 255 else 8


# -----------------------------------------------------------------------------------------------------------
# WebP


def webp_missing(data: bytes) -> int:
    """How many bytes a WebP lacks of what its header announces."""
    return max(0, int.from_bytes(data[4:8], "little") + 8 - len(data))


# -----------------------------------------------------------------------------------------------------------
# PNG


@dataclass(frozen=True, slots=True)
class Png:
    """What the chunks of a PNG say."""

    width: int
    height: int
    depth: int  # bits a sample
    orientation: int | None
    trailing: int  # bytes after the end chunk
    damage: str  # for people; "" where every chunk is whole and the end is there
    damage_at: int | None  # the byte at which the damaged chunk begins


def read_png(data: bytes) -> Png | str:
    """Walk all chunks with their checksums. Returns the reason, for people, where there is no header."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return "the file ends within its header" if len(data) < 33 else "the header chunk IHDR is missing"
    width, height, depth = struct.unpack(">IIB", data[16:25])
    at, orientation, seen = 8, None, False
    while True:
        if at + 12 > len(data):
            found = "no image data" if not seen else "the file ends before its end chunk (IEND)"
            return Png(width, height, depth, orientation, 0, found, None)
        length = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if not kind.isalpha():
            return Png(
                width, height, depth, orientation, 0, f"no chunk begins at byte {at:,}, where one should", at
            )
        end = at + 12 + length
        if end > len(data):
            found = f"the file ends within a chunk ({kind.decode()}), {end - len(data):,} bytes early"
            return Png(width, height, depth, orientation, 0, found, None)
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            found = f"wrong checksum of the chunk {kind.decode()} at byte {at:,}"
            return Png(width, height, depth, orientation, 0, found, at)
        if kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        seen = seen or kind == b"IDAT"
        at = end
        if kind == b"IEND":
            return Png(
                width, height, depth, orientation, len(data) - end, "" if seen else "no image data", None
            )
