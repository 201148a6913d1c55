"""An S3-compatible server of this process, and a gate before it that fails as networks and stores do."""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trainworthy_audit.source import remote
from trainworthy_audit.source.remote import Url, parse_location


class Bucket:
    """A bucket of the server."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._bucket = client, name
        self.url = f"s3://{name}"
        client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def upload(self, folder: Path, prefix: str = "data") -> Url:
        """Write the files of a folder below `prefix`, and return where that is."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        found = parse_location(f"{self.url}/{prefix}/")
        assert isinstance(found, Url)
        return found


@contextlib.contextmanager
def environment(endpoint: str, **more: str) -> Iterator[None]:
    """The environment that leads to a server."""
    names = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**names, **more}.items():
            patch.setenv(name, value)
        for name in ("AWS_TIMEOUT", "AWS_READ_TIMEOUT"):  # the program sets them where nobody has
            patch.setenv(name, more.get(name, ""))
            if name not in more:
                patch.delenv(name)
        remote._files.cache_clear()
        yield
        remote._files.cache_clear()


@contextlib.contextmanager
def server() -> Iterator[tuple[str, Any]]:
    """(where it is, a client of it)."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with environment(endpoint):
        yield endpoint, boto3.client("s3")
    running.stop()


#: What a gate does with a request; `None` lets it through.
Fault = Callable[["Handler"], None]


class Gate:
    """Passes requests on to the server, or, where `fault` says so, does something else with them.

    `fault(handler)` is asked for each request whose path contains `on`, and returns whether it has dealt with it.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind.partition("//")[2]
        self.fault: Fault | None = None
        self.on = ""
        self.times: list[float] = []  # when requests came that met the fault
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"gate": self}))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def break_down(self, fault: Fault, on: str = "") -> None:
        """From now on, requests whose path contains `on` meet this fault."""
        self.fault, self.on = fault, on
        self.times.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self.fault = None

    def close(self) -> None:
        """Accept nothing any more."""
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request to a gate."""

    protocol_version = "HTTP/1.1"
    gate: Gate

    def do_GET(self) -> None:
        """Fail, or pass it on."""
        fault = self.gate.fault
        if fault and self.gate.on in self.path:
            self.gate.times.append(time.monotonic())
            fault(self)
        else:
            self.pass_on()

    do_HEAD = do_GET  # noqa: N815 - the name that the library asks for

    def pass_on(self, pause: float = 0.0, pieces: int = 1) -> None:
        """Answer as the server does, in so many pieces with a pause before each."""
        connection = http.client.HTTPConnection(self.gate.behind)
        headers = {name: value for name, value in self.headers.items() if name != "Accept-Encoding"}
        connection.request(self.command, self.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "server", "date"}:
                self.send_header(name, value)
        self.end_headers()
        connection.close()
        size = max(1, -(-len(body) // pieces))
        with contextlib.suppress(ConnectionError):  # the one who asked has gone
            for start in range(0, len(body), size):
                time.sleep(pause)
                self.wfile.write(body[start : start + size])
                self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def status(number: int, code: str = "") -> Fault:
    """Answer with this status, and the store's own code."""

    def fault(handler: Handler) -> None:
        body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode() if code else b""
        handler.send_response(number)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return fault


def silent(seconds: float) -> Fault:
    """Say nothing for so long, and close."""

    def fault(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return fault


def slow(pause: float, pieces: int) -> Fault:
    """Answer rightly, in pieces with pauses."""
    return lambda handler: handler.pass_on(pause, pieces)
