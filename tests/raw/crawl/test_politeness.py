"""What a host may ask of a crawler, and when the crawler leaves it alone."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from raw.crawl.fetch import FAILURES_IN_A_ROW, TRIES
from tests.raw.crawl.crawling import DELAY, by_path, captures, run
from tests.raw.crawl.server import Handler, answer, page, raw, redirect, serving

pytestmark = pytest.mark.full

PAGES = {f"/{n}": page(f"Synthetic {n}") for n in range(4)}


def robots(text: str):
    return answer(200, text.encode(), "text/plain")


def test_crawl_delay_is_the_least_time_between_requests_of_a_host(tmp_path: Path):
    rules = "User-agent: other\nCrawl-delay: 9\n\nUser-agent: CPTflow\nCrawl-delay: 0.4\nDisallow: /2\nAllow: /2/a\n"
    with serving({"/robots.txt": robots(rules), "/2/a": page("Synthetic a")} | PAGES) as site:
        record = run(tmp_path, site, [*PAGES, "/2/a", "/2/b"])

        assert site.paths() == ["/robots.txt", "/0", "/1", "/3", "/2/a"]
        assert min(later.at - asked.at for asked, later in pairwise(site.log)) >= 0.4
    assert (record.errors, record.asked, record.finished_at is not None) == ({"robots": 2}, 4, True)


def test_a_robots_txt_that_is_not_there_forbids_nothing_and_its_redirect_is_followed(tmp_path: Path):
    with serving(
        {"/robots.txt": redirect("/rules.txt"), "/rules.txt": robots("User-agent: *\nDisallow: /3")} | PAGES
    ) as site:
        record = run(tmp_path / "a", site, [*PAGES])
        assert site.paths() == ["/robots.txt", "/rules.txt", "/0", "/1", "/2"]
        assert record.errors == {"robots": 1}
    with serving({"/robots.txt": answer(403)} | PAGES) as site:
        assert run(tmp_path / "b", site, [*PAGES]).complete


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (answer(503, b"Synthetic: busy"), "robots_unreachable"),
        (answer(429), "robots_unreachable"),
        (raw(b"", then="reset"), "reset"),
        (redirect("http://www.example.org/robots.txt"), "redirect_elsewhere"),
    ],
)
def test_a_host_whose_robots_txt_cannot_be_had_is_not_asked_for_pages_until_it_can(tmp_path: Path, trouble, kind):
    with serving({"/robots.txt": trouble} | PAGES) as site:
        record = run(tmp_path, site, [*PAGES])

        assert set(site.paths()) == {"/robots.txt"}
        assert len(site.log) == (1 if kind == "redirect_elsewhere" else TRIES)
        assert (record.errors, record.captured, record.finished_at) == ({kind: 1}, 0, None)
        site.pages["/robots.txt"] = robots("")
        later = run(tmp_path, site, [*PAGES])
    assert (later.crawl_id, later.complete, later.errors) == (record.crawl_id, True, {})


@pytest.mark.parametrize(("status", "told"), [(429, "7200"), (503, "Fri, 31 Dec 2100 23:59:59 GMT")])
def test_a_host_that_asks_to_come_back_much_later_is_left_alone_and_gone_on_with_later(tmp_path: Path, status, told):
    busy = [answer(status, Retry_After=told), page("Synthetic 1")]
    with serving(PAGES | {"/1": busy}) as site:
        record = run(tmp_path, site, [*PAGES])
        assert site.paths() == ["/robots.txt", "/0", "/1"]
        assert (record.finished_at, record.errors) == (None, {f"http_{status}" if status == 429 else "http_503": 1})
        later = run(tmp_path, site, [*PAGES])

        assert site.paths()[3:] == ["/robots.txt", "/1", "/2", "/3"]
        assert (later.crawl_id, later.complete, later.captured) == (record.crawl_id, True, 4)
        assert {row["status"] for row in captures(tmp_path)} == {200}


def test_a_host_that_fails_time_after_time_is_left_alone(tmp_path: Path):
    broken = {f"/b{n}": raw(b"", then="reset") for n in range(FAILURES_IN_A_ROW + 5)}
    with serving(PAGES | broken) as site:
        record = run(tmp_path, site, [*PAGES, *broken], delay=0.005)

        assert len(set(site.paths()) & set(broken)) == FAILURES_IN_A_ROW
        assert record.finished_at is None
        assert record.errors == {"host_down": 1, "reset": FAILURES_IN_A_ROW}
        site.pages |= {path: page(path) for path in broken}
        later = run(tmp_path, site, [*PAGES, *broken], delay=0.005)
        assert [path for path in site.paths() if path in PAGES] == [*PAGES]
    assert (later.complete, later.captured) == (True, len(PAGES) + len(broken))


def test_no_connection_is_made_where_an_allowed_name_leads_to_loopback(tmp_path: Path):
    with serving(PAGES) as site:
        addresses = (f"http://localhost:{site.port}/0",)
        record = run(tmp_path, site, hosts=(f"localhost:{site.port}",), addresses=addresses, allow_addresses=())

        assert (site.connections, site.log) == (0, [])
    assert record.errors == {"forbidden_address": 1}
    assert record.captured == 0


def test_an_environments_proxy_is_not_a_way_round_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with serving(PAGES) as proxy, serving(PAGES) as site:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        record = run(tmp_path, site, [*PAGES])

        assert proxy.connections == 0
    assert record.complete


def test_a_slow_host_is_asked_less_often(tmp_path: Path):
    """AutoThrottle: a pause as long as the host's answers take."""

    def slow(handler: Handler) -> None:
        time.sleep(0.4)
        page("Synthetic and slow")(handler)

    with serving(dict.fromkeys(PAGES, slow)) as site:
        record = run(tmp_path, site, [*PAGES])

        assert min(later.at - asked.at for asked, later in pairwise(site.log[1:])) >= 0.8
    assert record.complete


def test_hosts_are_asked_side_by_side_and_each_at_its_own_pace(tmp_path: Path):
    slow = robots("User-agent: *\nCrawl-delay: 0.5\n")
    with serving({"/robots.txt": slow, "/to-fast": redirect("/0")} | PAGES) as site:
        other = f"localhost:{site.port}"
        addresses = tuple(f"http://{host}/{n}" for n in range(3) for host in (site.host, other))
        record = run(tmp_path, site, hosts=(site.host, other), addresses=addresses)

        for host in (site.host, other):
            times = [asked.at for asked in site.log if asked.headers["host"] == host]
            assert len(times) == 4
            assert min(b - a for a, b in pairwise(times)) >= 0.5
        switches = sum(a.headers["host"] != b.headers["host"] for a, b in pairwise(site.log))
        assert switches > 1
    assert record.complete


def test_requests_that_a_lost_connection_takes_with_it_are_not_repeated_at_once(tmp_path: Path):
    """A kept connection that ends under a request would have Twisted send it again by itself."""
    with serving(PAGES | {"/lost": [raw(b"", then="reset"), page("Synthetic, at last")]}) as site:
        record = run(tmp_path, site, ["/0", "/lost", "/1"])

        first, second = site.times("/lost")
        assert second - first >= 3 * DELAY
        assert by_path(tmp_path, site)["/lost"]["status"] == 200
    assert record.complete


def signed_by_nobody(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for 127.0.0.1 that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "synthetic.pem"
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_a_host_that_cannot_prove_its_name_is_asked_for_nothing(tmp_path: Path):
    with serving(PAGES, tls=signed_by_nobody(tmp_path)) as site:
        record = run(tmp_path / "home", site, addresses=(f"https://{site.host}/0",))

        assert site.log == []
    assert (record.errors, record.finished_at) == ({"tls": 1}, None)


def test_a_host_that_is_not_there_is_told(tmp_path: Path):
    with serving() as site:
        pass
    record = run(tmp_path, site, ["/0", "/1"])

    assert (record.errors, record.captured, record.finished_at) == ({"refused": 1}, 0, None)
