"""Bytes changed as disks, editors, scripts and people change them; each change follows from a generator of numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

#: What stands where a number or a word should.
TOKENS = (
    b"nan", b"-inf", b"1e999", b"-1", b"0", b"1e-320", b"99999999999999999999999", b"0x1F", b"1,5", b"", b" ", b"\0",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xf0\x9f\x90\x88", b"\xed\xa0\x80", b"\\ud83d", b"\\u0000", b"../..",
    b"/etc/passwd",
    b"C:\\a", b"null", b"true", b"{}", b"[]", b"[" * 3000, b"{a: " * 500, b"<![CDATA[", b"&x;", b"<!--", b"-->", b"'",
    b'"', b"*a", b"&a", b"!!python/object:os.system", b"%s%n", b"9" * 5000, b"\r", b"\n\n", b"\t", b"#", b"-",
    b"1979-05-27",
)  # fmt: skip

#: Those that most parsers take.
MILD = (
    b"nan",
    b"-1",
    b"0",
    b"1",
    b"2",
    b"3.5",
    b"1e9",
    b"1e-9",
    b"cat",
    b"true",
    b"[]",
    b"../x",
    b"image",
    b"A001",
)

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 2**70, -(2**64), 1e308, 5e-324, 0.5, "", "x", "\0", "\ud83d", "nan", "../x", [],
    {}, [[]], [None], [1, 2], [1, 2, 3, 4], {"a": 1}, [1e308] * 4, [True] * 4, ["1", "2", "3", "4"],
    [[0, 0, 1, 1, 2, 2]],
)  # fmt: skip

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD = re.compile(rb"[A-Za-z_]\w*")


def mutate(data: bytes, rng: Random) -> bytes:
    """The bytes, changed in one way, or in up to three; half of the time so that they still parse."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mild = (
            (_json,) * 3
            if data[:1] in {b"{", b"["}
            else (_replace(_NUMBER), _replace(_NUMBER), _replace(_WORD))
        )
        data = rng.choice(mild if rng.random() < 0.5 else CHANGES)(data, rng)
    return data


def _place(data: bytes, rng: Random) -> int:
    return rng.randint(0, min(len(data), rng.choice((64, 4096, 10**9))))


def _flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 40))):
        if changed:
            changed[min(_place(data, rng), len(changed) - 1)] = rng.randrange(256)
    return bytes(changed)


def _insert(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice((rng.choice(TOKENS), rng.randbytes(rng.randint(1, 40)))) + data[at:]


def _cut(data: bytes, rng: Random) -> bytes:
    start, end = sorted((_place(data, rng), _place(data, rng)))
    return data[:start] + data[end:]


def _truncate(data: bytes, rng: Random) -> bytes:
    return data[: _place(data, rng)]


def _repeat(data: bytes, rng: Random) -> bytes:
    start, end = sorted((_place(data, rng), _place(data, rng)))
    return data[:end] + data[start : min(end, start + 2000)] * rng.randint(1, 3) + data[end:]


def _replace(pattern: re.Pattern[bytes]) -> Callable[[bytes, Random], bytes]:
    def change(data: bytes, rng: Random) -> bytes:
        found = list(pattern.finditer(data[:100_000]))
        if not found:
            return data
        one = rng.choice(found)
        return data[: one.start()] + rng.choice(TOKENS if rng.random() < 0.5 else MILD) + data[one.end() :]

    return change


def _lines(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return rng.choice((b"\n", b"\r\n", b"\r")).join(lines[: rng.randint(0, len(lines))])


def _encode(data: bytes, rng: Random) -> bytes:
    return data.decode("latin-1").encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32")))


def _json(data: bytes, rng: Random) -> bytes:
    """A value somewhere in a JSON document in place of another one; other bytes are cut."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _cut(data, rng)
    holder: Any = {"": document}
    top, key = holder, ""
    while isinstance(holder[key], list | dict) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    if rng.random() < 0.2 and holder is not top:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(top[""]).encode()


CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip, _flip, _insert, _insert, _cut, _truncate, _repeat, _replace(_NUMBER), _replace(_NUMBER), _replace(_WORD),
    _lines, _encode, _json, _json,
)  # fmt: skip
