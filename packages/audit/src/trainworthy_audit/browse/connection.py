"""FiftyOne itself, connected to its database; and our datasets in it."""

from __future__ import annotations

import os
from typing import Any

from trainworthy_audit import installation
from trainworthy_audit.browse.places import name_of
from trainworthy_audit.errors import BrowseError

Fo = Any  # what belongs to FiftyOne, which has no types

#: What datasets of ours have in `info["made_by"]`.
MADE_BY = "trainworthy"

#: Seconds to wait for the database that FIFTYONE_DATABASE_URI names.
TIMEOUT = 5

_DATABASE_NEXT = (
    "docker run -d -p 27017:27017 mongo:7 && export FIFTYONE_DATABASE_URI=mongodb://localhost:27017"
)


def connect() -> Fo:
    """FiftyOne, connected to its database. Raises `BrowseError`, saying how to get what is missing.

    Usage tracking is off unless the user has set FIFTYONE_DO_NOT_TRACK.
    """
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("FIFTYONE_SHOW_PROGRESS_BARS", "false")
    # so that the sidebar lists and counts values, where otherwise it only searches for them
    os.environ.setdefault("FIFTYONE_APP_DEFAULT_QUERY_PERFORMANCE", "false")
    try:
        import fiftyone
        from pymongo import MongoClient
    except ImportError as error:
        raise BrowseError(
            f"FiftyOne is not installed, or incomplete: {error}\n"
            "  `trainworthy browse` shows datasets in it; everything else works without it.",
            next_step=installation.how_to_install("browse", "trainworthy browse DATASET"),
        ) from error
    except Exception as error:
        raise BrowseError(
            f"FiftyOne does not start: {first_line(error)}", next_step="fiftyone config"
        ) from error
    uri = fiftyone.config.database_uri
    try:
        if uri:  # FiftyOne itself would wait half a minute
            with MongoClient[Any](uri, serverSelectionTimeoutMS=TIMEOUT * 1000) as client:
                client.admin.command("ping")
        fiftyone.list_datasets()
    except Exception as error:  # FiftyOne, its service and pymongo each have their own
        raise BrowseError(_no_database(uri, error), next_step=_DATABASE_NEXT) from error
    return fiftyone


def _no_database(uri: str | None, error: Exception) -> str:
    first = first_line(error)
    if uri:
        return (
            f"no MongoDB answers at FIFTYONE_DATABASE_URI = {_without_password(uri)}\n  {first}\n"
            "  FiftyOne keeps its datasets there. Start it, correct the address, or unset the variable, so that\n"
            "  FiftyOne starts its own."
        )
    return (
        f"FiftyOne's own MongoDB does not start: {first}\n"
        "  FiftyOne keeps its datasets in a MongoDB, which its package brings on most systems. Where that does\n"
        "  not start, run any MongoDB from version 6, and name it in FIFTYONE_DATABASE_URI."
    )


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def load(fo: Fo, name: str) -> Fo:
    """Our dataset in FiftyOne for what the audit calls `name`. Raises `BrowseError` where there is none."""
    known_as = name_of(name)
    if not fo.dataset_exists(known_as):
        raise BrowseError(
            f"FiftyOne has no dataset {known_as}\n  It is made when the dataset is browsed for the first time.",
            next_step="trainworthy browse DATASET",
        )
    dataset = fo.load_dataset(known_as)
    if dataset.info.get("made_by") != MADE_BY:
        raise BrowseError(
            f"FiftyOne has a dataset {known_as} that trainworthy did not make\n  It is left as it is.",
            next_step="trainworthy browse DATASET --name OTHER",
        )
    return dataset


def first_line(error: Exception) -> str:
    """What an error says first, for a message of ours."""
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
