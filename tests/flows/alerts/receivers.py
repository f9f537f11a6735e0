"""Receivers on loopback: HTTP that answers as its path says, and SMTP. What they store is kept in order."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP


@dataclass
class Log:
    """What receivers saw. ``seen``: each request as it began; ``stored``: what a receiver has for good."""

    seen: list = field(default_factory=list)
    stored: list = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    released: threading.Event = field(default_factory=threading.Event)
    refused: tuple = ()
    """numbers of the requests that a chat refuses, from 1 on"""

    def note(self, name, request):
        with self.changed:
            getattr(self, name).append(request)
            self.changed.notify_all()

    def wait_for(self, what, seconds=60):
        with self.changed:
            assert self.changed.wait_for(what, seconds), "nothing came"

    def ids(self, path):
        """Of what was stored there, in order."""
        return [request["id"] for request in self.stored if request["path"] == path]


class Receiver(BaseHTTPRequestHandler):
    """The path says how it fails, the first time or always."""

    def do_POST(self):
        log, how = self.server.log, self.path.partition("?")[0].strip("/").partition("/")[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = {"path": how, "headers": dict(self.headers), "body": body, "target": self.path}
        request["id"] = self.headers.get("webhook-id") or json.loads(body).get("title")
        with log.changed:
            log.seen.append(request)
            first = Counter(one["path"] for one in log.seen)[how] == 1
            log.changed.notify_all()
        getattr(self, f"_{how}", self._fine)(request, first)

    def do_GET(self):
        self._answer(404)

    def _fine(self, request, first):
        self.server.log.note("stored", request)
        self._answer(204)

    def _error(self, request, first):
        self._answer(500) if first else self._fine(request, first)

    def _lost(self, request, first):
        """Stores it, and hangs up before the answer."""
        self.server.log.note("stored", request)
        if first:
            self.close_connection = True
        else:
            self._answer(200)

    def _reset(self, request, first):
        if not first:
            self._fine(request, first)
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _hang(self, request, first):
        if first:
            self.server.log.released.wait(60)
            self.close_connection = True
        else:
            self._fine(request, first)

    def _drip(self, request, first):
        """An answer of which a letter comes now and then, and never the last."""
        if not first:
            self._fine(request, first)
            return
        with self.connection:
            try:
                while not self.server.log.released.wait(0.1):
                    self.connection.sendall(b"H")
            except OSError:
                pass
        self.close_connection = True

    def _oversize(self, request, first):
        self.server.log.note("stored", request)
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while not self.server.log.released.is_set():
                self.wfile.write(b"x" * (1 << 16))
        except OSError:
            pass
        self.close_connection = True

    def _elsewhere(self, request, first):
        if not first:
            self._fine(request, first)
            return
        self.send_response(307)
        self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hooks(self, request, first):
        """As Rocket.Chat does."""
        if len(self.server.log.seen) in self.server.log.refused:
            self._answer(503)
            return
        self.server.log.note("stored", request)
        self._answer(200)

    def _gone(self, request, first):
        self._answer(410)

    def _echo(self, request, first):
        """Refuses, and repeats all that it was given."""
        told = f"{self.path} {self.headers} ".encode() + request["body"]
        self.send_response(401, self.path)
        self.send_header("WWW-Authenticate", f'Basic realm="{self.path}"')
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def http_receiver(log, *, elsewhere="", certificate=None):
    """Its address. ``certificate``: a file with key and certificate, for https."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads, server.log, server.elsewhere = True, log, elsewhere
    server.handle_error = lambda *_: None  # a client that went away
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        log.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def smtp_receiver(log):
    """HOST:PORT of a server that stores mails under the path "mail", with their subject as the id."""

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            mail = message_from_bytes(envelope.content, policy=default)
            log.note("stored", {"path": "mail", "id": mail["Subject"], "mail": mail, "body": envelope.content})
            return "250 OK"

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(Handler(), hostname="localhost", loop=loop), "127.0.0.1", 0)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def nobody_listens():
    """HOST:PORT where connections are refused."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


def certificate(folder):
    """A file with a key and a certificate for 127.0.0.1, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file
