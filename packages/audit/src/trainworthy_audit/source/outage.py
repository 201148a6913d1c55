"""Failures of a store: of one object, or of the way to all of them. Only the first says anything about the dataset.

Also how long a store is waited for: obstore tries requests again by itself, and reads the limits of a single request
from the environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trainworthy_audit.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What obstore reads, and how the names of its variables begin; credentials and endpoints are the same for all of them.
OBJECT_STORES = {
    **dict.fromkeys(("s3", "s3a"), "AWS"),
    **dict.fromkeys(("gs", "gcs"), "GOOGLE"),
    **dict.fromkeys(("az", "abfs", "abfss", "azure", "adl"), "AZURE"),
}

#: How long a request that fails is tried again, in seconds: the variable that says so, and the default.
RETRY, RETRY_SECONDS = "TRAINWORTHY_RETRY_SECONDS", 60.0

#: The longest pause between two attempts. The first is about a second; each is drawn between half a second and four
#: times the one before, so that a thousand workers do not come back at the same moment.
LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.5
_GROWTH = 4

#: Limits of one request, as obstore reads them from variables such as AWS_TIMEOUT, unless they are set: for the whole
#: object, and between two pieces of it. obstore's own 30 seconds for the whole are too few for a large image.
LIMITS = {"TIMEOUT": "600 s", "READ_TIMEOUT": "30 s"}

#: A store that fails for so many seconds while it is listed is told of: nothing else is shown meanwhile.
NOTICE = 5.0

#: Statuses below 500 that say nothing of the object: no credentials, too slow, too often.
_NOT_OF_THE_OBJECT = {401, 407, 408, 429}

#: Codes that tell of the one who asks, or of the store, whatever status they come with.
_OF_THE_WAY = {
    "AuthenticationFailed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed",
    "RequestTimeout", "SignatureDoesNotMatch", "SlowDown", "TokenRefreshRequired",
}  # fmt: skip

#: Errors of a single object by the names of their classes: obstore's are imported with obstore only.
_OF_AN_OBJECT = {"NotFoundError", "PermissionDeniedError", "InvalidPathError"}


def retry_config() -> dict[str, Any]:
    """How obstore tries requests again: with pauses that grow, for `TRAINWORTHY_RETRY_SECONDS` in all.

    Raises `ConfigError` where that is no number.
    """
    seconds = retry_seconds()
    longest = min(LONGEST_PAUSE, max(seconds, 0.001))
    return {
        "max_retries": 1000 if seconds else 0,  # the time decides
        # the last pause begins before the time is over
        "retry_timeout": timedelta(seconds=max(0.0, seconds - longest / 2)),
        "backoff": {
            "init_backoff": timedelta(seconds=min(_FIRST_PAUSE, longest / 2)),
            "max_backoff": timedelta(seconds=longest),
            "base": _GROWTH,
        },
    }


def retry_seconds() -> float:
    """For how many seconds a request that fails is tried again. Raises `ConfigError` where that is no number."""
    text = os.environ.get(RETRY, "")
    try:
        seconds = float(text) if text else RETRY_SECONDS
        if not 0 <= seconds < 86400:
            raise ValueError  # noqa: TRY301 - one message for both
    except ValueError as error:
        raise ConfigError(
            f"{RETRY}={text}: expected a number of seconds, 0 to 86400.", next_step=f"unset {RETRY}"
        ) from error
    return seconds


def set_limits(protocol: str) -> None:
    """Have obstore use our limits for a request where the user has set none: it takes them from the environment only.

    Given as an argument they would displace what the environment says of the endpoint (AWS_ALLOW_HTTP, a proxy).
    """
    for name, value in LIMITS.items():
        os.environ.setdefault(f"{OBJECT_STORES[protocol]}_{name}", value)


def is_outage(error: Exception) -> bool:
    """Whether an error is one of the way to the store (refused, timed out, 5xx, throttled, credentials that ran out).

    What is not known as an error of a single object counts as one: no verdict is better than one on files nobody read.
    """
    if code(error) in _OF_THE_WAY:
        return True
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    if type(error).__name__ in _OF_AN_OBJECT:
        return False
    status = _status(error)
    return not (status and 400 <= status < 500 and status not in _NOT_OF_THE_OBJECT)


def unreachable(what: str, place: str, error: Exception) -> UnreachableError:
    """The error that ends the run: the store of `place` failed when it was asked to `what` ("read", "list")."""
    protocol = place.partition("://")[0]
    return UnreachableError(
        f"cannot {what} {place}: the store does not answer as it should\n"
        f"  Seen: {in_short(error)}\n"
        f"{_limits(protocol)}"
        "  This tells nothing of the dataset: there is no verdict, and what failed is not remembered.\n"
        "  What was measured before is kept in the cache."
    )


def _limits(protocol: str) -> str:
    """The lines that say how long was waited, and what sets that."""
    if protocol not in OBJECT_STORES:
        return ""
    prefix = OBJECT_STORES[protocol]
    whole, silent = (os.environ.get(f"{prefix}_{name}", value) for name, value in LIMITS.items())
    return (
        f"  Failing requests are tried again for {retry_seconds():g} s ({RETRY}=SECONDS). One request may last {whole} "
        f"({prefix}_TIMEOUT)\n  and be silent for {silent} ({prefix}_READ_TIMEOUT): more for large files on a slow "
        "connection.\n"
    )


def in_short(error: Exception) -> str:
    """The first line of a store's error, which may go on for pages, with its code and kind."""
    text = str(error).partition("\n")[0].partition(": <?xml")[0].partition(": <Error>")[0].strip()
    text = text.replace(", max_retries: 1000", "")
    kind = re.search(r"kind: (Timeout|Connect)\b", str(error))
    kinds = {"Timeout": "timed out", "Connect": "no connection"}
    extra = ", ".join(filter(None, (code(error), kinds[kind[1]] if kind else "")))
    return f"{text[:300]}{f' ({extra})' if extra else ''}" or type(error).__name__


def code(error: Exception) -> str:
    """The store's own code, such as SlowDown; '' where there is none."""
    return str(error).partition("<Code>")[2].partition("</Code>")[0]


def _status(error: Exception) -> int | None:
    """The HTTP status of a store's answer; None where none came."""
    status = getattr(error, "status", None)  # as aiohttp has it, for http:// and https://
    if isinstance(status, int):
        return status
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


@contextlib.contextmanager
def notice(place: str) -> Iterator[None]:
    """Within, a store that takes long is told of by a note."""
    import logging

    text = f"{place} does not answer yet; failing requests are tried again for {retry_seconds():g} s."
    timer = threading.Timer(NOTICE, logging.getLogger("trainworthy").warning, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
