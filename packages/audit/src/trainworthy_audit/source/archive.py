"""Lists a zip, on this machine or at a URL. It is read in place: nothing is unpacked."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING

from trainworthy_audit.errors import BadArchiveError, DatasetError, UnreachableError
from trainworthy_audit.source import folder, remote
from trainworthy_audit.source.entries import (
    HIDDEN,
    NESTED_ARCHIVES,
    NEVER,
    Entry,
    Listing,
    Locator,
    is_archive,
    is_hidden,
    printable,
)
from trainworthy_audit.source.reading import forget_zips, open_zip

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

    from trainworthy_audit.source.remote import Url

#: A zip may claim at most this many bytes for each byte it holds, once it claims more than `BOMB_FLOOR` bytes
#: in all. Photographs do not compress; annotations do, by 10 to 40 times. DEFLATE cannot exceed 1032.
BOMB_RATIO = 200
BOMB_FLOOR = 256 * 2**20


def list_zip(path: Path) -> Listing:
    """Every file in the zip at `path`. Raises `BadArchiveError` where it cannot be read, is encrypted, or is a bomb."""
    text, touched = folder.stamp(path.stat())
    return _list_members(path, folder.from_root(path), text, touched)


def list_remote_zip(url: Url) -> Listing:
    """Every file in the zip at `url`. Raises as `list_zip`, and `UnreachableError` where its store fails."""
    file = url.text.encode("utf-8", "surrogatepass")
    forget_zips()
    try:
        text = remote.stamp(file)
    except OSError as error:
        raise DatasetError(f"cannot open {url}: {error.strerror or error}") from error
    return _list_members(url, file, text, 0 if text else NEVER)


def unreadable_zip(path: Path) -> BadArchiveError:
    """The error for a file that is called `.zip` and is none."""
    return BadArchiveError(
        f"not a readable zip: {path}\n  It has {path.stat().st_size:,} bytes, and no zip directory at "
        "its end: it was probably cut short while it was copied or uploaded.",
        next_step=_unzip("-t", path),
    )


def _list_members(path: Path | Url, file: bytes, zip_stamp: str, touched: int) -> Listing:
    listing = Listing()
    for member in _members(path, file):
        name = _member_name(member)
        parts = [part for part in name.split("/") if part not in {"", "."}]
        inner = "/".join(parts)
        if name.endswith("/"):
            continue
        if not parts:
            listing.leave_out("members without a name in the zip", repr(name))
            continue
        if ".." in parts or name.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":"):
            listing.escapes.append(name)
        elif any(is_hidden(part) for part in parts):
            listing.leave_out(HIDDEN, inner)
        elif stat.S_ISLNK(member.external_attr >> 16):
            listing.leave_out("links in the zip", inner)
        elif is_archive(inner):
            listing.leave_out(NESTED_ARCHIVES, inner)
        else:
            if inner in listing.entries:
                listing.leave_out("earlier members of a name that stands more than once in the zip", inner)
            stamp = f"{zip_stamp}:{member.header_offset}:{member.CRC:08x}:{member.file_size}"
            listing.add(Entry(inner, member.file_size, stamp, Locator(file, member.filename), touched))
    return listing


def _members(path: Path | Url, file: bytes) -> list[zipfile.ZipInfo]:
    """The zip's directory. Raises `BadArchiveError` where it cannot be read, is encrypted, or is a bomb."""
    try:
        archive = open_zip(file)
        members = archive.infolist()
        assert archive.fp
        size = archive.fp.seek(0, os.SEEK_END)
    except UnreachableError:
        raise
    except Exception as error:
        message = f"cannot open the zip {path}: {error}"
        raise BadArchiveError(message, next_step=_unzip("-t", path)) from error
    claimed = sum(member.file_size for member in members)
    if claimed > max(BOMB_FLOOR, BOMB_RATIO * size):
        raise BadArchiveError(
            f"{path} looks like a zip bomb\n  Its {size:,} bytes claim to hold {claimed:,}: more than "
            f"{BOMB_RATIO} times as much, which images and labels do not do. Nothing was read.",
            next_step=_unzip("-v", path),
        )
    files = [member for member in members if member.filename and not member.is_dir()]
    if files and all(member.flag_bits & 1 for member in files):
        raise BadArchiveError(
            f"{path} is encrypted\n  None of its {len(files):,} files can be read without a password, and "
            "the audit asks for none: unpack it, and audit the folder.",
            next_step=f"unzip {shlex.quote(str(path))} -d {shlex.quote(PurePath(path.name).stem)}",
        )
    return members


def _member_name(member: zipfile.ZipInfo) -> str:
    """The member's path with '/' between folders; UTF-8 names that do not say so are read as UTF-8."""
    name = member.filename
    if not member.flag_bits & 0x800 and not name.isascii():
        with contextlib.suppress(UnicodeError):  # another code page stays as the zip's standard has it
            name = name.encode("cp437").decode("utf-8")
    return printable(name.replace("\\", "/"))


def _unzip(option: str, path: Path | Url) -> str:
    return f"unzip {option} {shlex.quote(str(path))}"
