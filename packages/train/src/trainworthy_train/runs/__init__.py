"""Runs: folders `runs/NAME/vN`, each with an append-only log, its settings and its weights.

    log.jsonl         what happened, one JSON object a line; nothing in it is ever changed
    run.json          the record: settings, certificate, waived findings, versions, hardware
    metrics.csv       one row an epoch, written anew from the log
    best.pt, last.pt  the weights with the best mAP; everything that resuming needs
    lock              held by the process that trains

Files that are written as a whole (record, table, checkpoints) are written beside their place first and renamed, so that
a reader, or a run that is resumed after a crash, finds the old or the new one. Of the log only the last line can be
torn; readers skip it.
"""

from __future__ import annotations

from trainworthy_train.runs.files import remove_temporary_files, write_atomically
from trainworthy_train.runs.log import (
    EPOCH_SERIES,
    Event,
    Log,
    best_epoch,
    curves,
    latest,
    now,
    read_events,
    table,
)
from trainworthy_train.runs.run import (
    BEST,
    CERTIFICATE,
    FOLDER,
    LAST,
    LOCK,
    LOG,
    RECORD,
    SCHEMA,
    TABLE,
    WEIGHTS_SCHEMA,
    Run,
    State,
    create,
    create_at,
    discard,
    find,
    list_runs,
    versions,
)

__all__ = [
    "BEST",
    "CERTIFICATE",
    "EPOCH_SERIES",
    "FOLDER",
    "LAST",
    "LOCK",
    "LOG",
    "RECORD",
    "SCHEMA",
    "TABLE",
    "WEIGHTS_SCHEMA",
    "Event",
    "Log",
    "Run",
    "State",
    "best_epoch",
    "create",
    "create_at",
    "curves",
    "discard",
    "find",
    "latest",
    "list_runs",
    "now",
    "read_events",
    "remove_temporary_files",
    "table",
    "versions",
    "write_atomically",
]
