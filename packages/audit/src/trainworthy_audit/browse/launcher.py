"""The FiftyOne App: its port, its server, and the wait until it is closed."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING

from trainworthy_audit.browse import connection
from trainworthy_audit.browse.connection import first_line
from trainworthy_audit.errors import BrowseError

if TYPE_CHECKING:
    from trainworthy_audit.browse.connection import Fo

#: FiftyOne's own port, and how many after it are tried.
PORT, PORTS = 5151, 100


def free_port(wanted: int | None) -> int:
    """`wanted`, or FiftyOne's 5151 or the next free one. Raises `BrowseError` where `wanted` is taken."""
    for port in (wanted,) if wanted else range(PORT, PORT + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    taken = f"port {wanted} is" if wanted else f"the ports {PORT} to {PORT + PORTS - 1} are"
    raise BrowseError(
        f"{taken} taken: another App, or another program, listens there",
        next_step="trainworthy browse DATASET --port 5300",
    )


def launch(fo: Fo, name: str, port: int) -> Fo:
    """Start the App on this machine, for this machine only, and return its session. Raises `BrowseError`.

    It listens where FIFTYONE_DEFAULT_APP_ADDRESS says, else on localhost, in containers too.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints while it waits for its server
            return fo.launch_app(
                connection.load(fo, name), port=port, address=fo.config.default_app_address, remote=True
            )
    except BrowseError:
        raise
    except Exception as error:
        raise BrowseError(
            f"the FiftyOne App does not start on port {port}: {first_line(error)}",
            next_step=f"trainworthy browse DATASET --port {port + 1}",
        ) from error


def wait(session: Fo, url: str, *, window: bool) -> None:
    """Return when the App's last tab was closed; without a window, or where none opens, only when interrupted."""
    opened = window and webbrowser.open(url)
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(KeyboardInterrupt):
        session.wait(3 if opened else -1)
