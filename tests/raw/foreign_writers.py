"""WARC files as others write them: wget and Scrapy, each in a process of its own, against a site on loopback.

`python -m tests.raw.foreign_writers` writes the fixtures again.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

FIXTURES = Path(__file__).with_name("fixtures")
SITE = "http://synthetic.example"
# Invented pages; the last is not sent with status 200.
PAGES = {
    "/": b"<html><title>Synthetic codes</title>"
    + b"".join(b'<a href="/cpt/100%dT">100%dT</a>' % (n, n) for n in range(1, 7))
    + b'<img src="/logo.png"></html>',
    "/cpt/1001T": "<html><h1>Synthetic page</h1>\r\n<p>of code 1001T – all at once</p></html>".encode(),
    "/cpt/1002T": b"<html><h1>Synthetic page</h1><p>of code 1002T, gzipped</p></html>" * 40,
    "/cpt/1003T": b"<html><h1>Synthetic page</h1><p>of code 1003T, in chunks</p></html>" * 40,
    "/cpt/1004T": b"<html><h1>Synthetic page</h1><p>of code 1004T, gzipped and in chunks</p></html>" * 40,
    "/cpt/1005T": b"<html><h1>Synthetic page</h1><p>of code 1005T is not here</p></html>",
}
GZIPPED, CHUNKED, MISSING, MOVED = (
    {"/cpt/1002T", "/cpt/1004T"}, {"/cpt/1003T", "/cpt/1004T"}, "/cpt/1005T", "/cpt/1006T",
)  # fmt: skip
IMAGE = b"\x89PNG\r\n\x1a\nSynthetic"


class _Site(BaseHTTPRequestHandler):
    """Answers as a proxy does, so that addresses in the archives hang on no port."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == MOVED:
            self._answer(301, b"", {"Location": f"{SITE}/cpt/1001T"})
        elif path == "/logo.png":
            self._answer(200, IMAGE, {"Content-Type": "image/png"})
        elif path in PAGES:
            self._page(path)
        else:
            self._answer(404, b"Synthetic: nothing here", {"Content-Type": "text/plain"})

    def _page(self, path: str) -> None:
        body, headers = PAGES[path], {"Content-Type": "text/html; charset=utf-8"}
        if path in GZIPPED:
            body, headers["Content-Encoding"] = gzip.compress(body, mtime=0), "gzip"
        if path in CHUNKED:
            pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
            headers["Transfer-Encoding"] = "chunked"
        self._answer(404 if path == MISSING else 200, body, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
        for name, value in {**headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def site() -> Iterator[dict[str, str]]:
    """The site on loopback; gives the environment in which a program reaches it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        proxy = f"http://127.0.0.1:{server.server_port}"
        yield {"PATH": os.environ["PATH"], "http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": ""}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def written_by_wget(folder: Path) -> tuple[Path, Path]:
    """Two crawls of the site; the second knows the first's index, so that what is unchanged becomes a revisit."""
    wget = shutil.which("wget")
    if wget is None:
        raise AssertionError("wget is not installed, and this test runs the real one: apt-get install wget")
    with site() as environment:
        for options in (["--warc-file=first", "--warc-cdx"], ["--warc-file=second", "--warc-dedup=first.cdx"]):
            # Relative names alone: wget writes its own command line into the file. It ends with 8 after a 404.
            _wait_for_another_second()
            command = [wget, "--quiet", "--recursive", "--page-requisites", "--delete-after", *options, f"{SITE}/"]
            ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert ended.returncode in (0, 8), ended.stderr
    return folder / "first.warc.gz", folder / "second.warc.gz"


def _wait_for_another_second() -> None:
    """wget's dates have whole seconds: in the same one, its second crawl would be the same captures."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.01)


# As the package's own manual has it, but for the machine's name and network card, which the package would write down.
_SPIDER = """
import socket, sys, uuid
socket.gethostname, socket.gethostbyname = lambda: "crawler.example", lambda name: "127.0.0.1"
uuid.uuid1 = uuid.uuid4
import scrapy, scrapy_warcio
from scrapy.crawler import CrawlerProcess

class WarcioDownloaderMiddleware:
    def __init__(self):
        self.warcio = scrapy_warcio.ScrapyWarcIo()
    def process_request(self, request, spider):
        request.meta["WARC-Date"] = scrapy_warcio.warc_date()
        return None
    def process_response(self, request, response, spider):
        self.warcio.write(response, request)
        return response

class Site(scrapy.Spider):
    name = "site"
    start_urls = [sys.argv[1] + "/"]
    handle_httpstatus_list = [404]
    def parse(self, response):
        for link in response.css("a::attr(href)").getall():
            yield response.follow(link, self.parse)

process = CrawlerProcess({
    "DOWNLOADER_MIDDLEWARES": {WarcioDownloaderMiddleware: 543}, "ROBOTSTXT_OBEY": False, "LOG_LEVEL": "ERROR",
    "TELNETCONSOLE_ENABLED": False, "DOWNLOAD_DELAY": 0, "CONCURRENT_REQUESTS": 1,
})
process.crawl(Site)
process.start()
"""
_SETTINGS = """
warc_spec: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/
max_warc_size: 10000000
collection: synthetic
description: synthetic
operator: operator@crawler.example
robots: ignore
user_agent: scrapy
warc_prefix: SYN
warc_dest: .
"""


def written_by_scrapy(folder: Path) -> Path:
    """A crawl of the site by Scrapy, with scrapy-warcio's middleware."""
    (folder / "spider.py").write_text(_SPIDER, "utf-8")
    (folder / "settings.yml").write_text(_SETTINGS, "utf-8")
    with site() as environment:
        environment["SCRAPY_WARCIO_SETTINGS"] = "settings.yml"
        command = [sys.executable, "spider.py", SITE]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    [warc] = folder.glob("SYN-*.warc.gz")
    return warc


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        first, second = written_by_wget(Path(place))
        (FIXTURES / "wget.warc.gz").write_bytes(first.read_bytes() + second.read_bytes())
        (FIXTURES / "scrapy.warc.gz").write_bytes(written_by_scrapy(Path(place)).read_bytes())
