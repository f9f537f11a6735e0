"""A web server on loopback that misbehaves as it is told, and keeps a log of what it was asked."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Act = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """``at``: seconds on the monotonic clock, when the request's header had come."""

    at: float
    path: str
    headers: dict[str, str]
    method: str


@dataclass
class Site:
    """``pages``: what to do for each path. An act that is a list is one act for each time it is asked, the last for
    all that follow."""

    port: int = 0
    pages: dict[str, Act | list[Act]] = field(default_factory=dict)
    log: list[Asked] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.log]

    def times(self, path: str) -> list[float]:
        return [asked.at for asked in self.log if asked.path == path]

    def asked(self, path: str) -> Asked:
        (one,) = [asked for asked in self.log if asked.path == path]
        return one


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def setup(self) -> None:
        super().setup()
        with self.site.lock:
            self.site.connections += 1

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.site.lock:
            number = len(self.site.times(self.path))
            self.site.log.append(Asked(time.monotonic(), self.path, headers, self.command))
        act = self.site.pages.get(self.path, answer(404, b"Synthetic: no such page"))
        if isinstance(act, list):
            act = act[min(number, len(act) - 1)]
        try:
            act(self)
        except OSError:
            self.close_connection = True

    do_POST = do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reset(self) -> None:
        """End the connection with RST, not with FIN."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.wfile.flush()
        self.connection.close()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in mid-answer is no error of the test's server."""

    def shutdown_request(self, request: object) -> None:
        with suppress(OSError):
            super().shutdown_request(request)


@contextmanager
def serving(pages: dict[str, Act | list[Act]] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site(pages=dict(pages or {}))
    handler = type("SiteHandler", (Handler,), {"site": site})
    with _Server(("127.0.0.1", 0), handler) as server:
        site.port = server.server_address[1]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def answer(status: int, body: bytes = b"", media_type: str = "text/html", **headers: str) -> Act:
    """``headers``: with underscores for dashes."""

    def act(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if media_type:
            handler.send_header("Content-Type", media_type)
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return act


def page(text: str = "Synthetic page", **headers: str) -> Act:
    return answer(200, f"<html><body><h1>{text}</h1></body></html>".encode(), **headers)


def redirect(to: str, status: int = 302) -> Act:
    return answer(status, b"", Location=to)


def confirmable(body: bytes, etag: str | None = None, last_modified: str | None = None) -> Act:
    """200 with validators, or 304 to a request that has them."""
    told = {name: value for name, value in (("ETag", etag), ("Last_Modified", last_modified)) if value}

    def act(handler: Handler) -> None:
        same = etag is not None and handler.headers.get("If-None-Match") == etag
        same |= last_modified is not None and handler.headers.get("If-Modified-Since") == last_modified
        answer(304 if same else 200, b"" if same else body, **told)(handler)

    return act


def raw(sent: bytes, *, then: str = "close") -> Act:
    """Bytes just as given. ``then``: ``close`` or ``reset`` the connection."""

    def act(handler: Handler) -> None:
        handler.wfile.write(sent)
        handler.wfile.flush()
        handler.close_connection = True
        if then == "reset":
            handler.reset()

    return act


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.end_headers()
    while True:
        handler.wfile.write(b"<p>Synthetic and without end</p>" * 1000)


def endless_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Synthetic: without end\r\n" * 1000)


def dripping(seconds: float, *, header: bool = False) -> Act:
    """A byte each now and then, for as long as anybody listens (a minute at most)."""

    def act(handler: Handler) -> None:
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        handler.wfile.write(start + (b"X-Slow: " if header else b"Content-Length: 100000\r\n\r\n"))
        for _ in range(int(60 / seconds)):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(seconds)

    return act
