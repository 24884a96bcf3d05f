"""The small HTTP client of reads: connections that are kept, and all that it leaves to others."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from maypacs.archive.http_reads import HttpReads

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n01234'


class Server:
    """Answers each connection with the pieces of one script: one a request, then it closes."""

    def __init__(self, scripts: list[list[bytes]], tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._scripts, self._tls = scripts, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as connection:
                    for piece in script:
                        if request := connection.recv(65536):
                            self.requests.append(request)
                            connection.sendall(piece)
            except OSError:
                continue


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Server] = []

    def start(*scripts: list[bytes], tls: ssl.SSLContext | None = None) -> Server:
        running.append(Server(list(scripts), tls).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def reads(server: Server) -> HttpReads:
    return HttpReads(f"http://127.0.0.1:{server.port}")


def test_a_connection_is_kept_for_the_next_read(serve: Serve) -> None:
    """Two reads, one connection; the request is as it was given."""
    server = serve([OK, OK])
    client = reads(server)
    for _ in range(2):
        answer = client.read("GET", "/a%20b", {"host": "h", "range": "bytes=0-4"})
        assert answer is not None
        assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"01234", '"a"')
    assert server.requests == [b"GET /a%20b HTTP/1.1\r\nhost: h\r\nrange: bytes=0-4\r\n\r\n"] * 2
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_costs_nothing(serve: Serve) -> None:
    """Idle connections end; a new one asks again."""
    server = serve([OK], [OK])
    client = reads(server)
    assert client.read("GET", "/", {}) is not None
    assert client.read("GET", "/", {}) is not None
    assert server.connections == 2


def test_a_server_that_says_it_will_close_is_not_asked_again_there(serve: Serve) -> None:
    """Connection: close."""
    closing = OK.replace(b"ETag", b"Connection: close\r\nETag")
    server = serve([closing, OK], [OK])
    client = reads(server)
    assert client.read("GET", "/", {}) is not None
    assert client.read("GET", "/", {}) is not None
    assert server.connections == 2


def test_head_has_no_body_whatever_its_length_says(serve: Serve) -> None:
    """And the connection is good for the next."""
    server = serve([OK.removesuffix(b"01234"), OK])
    client = reads(server)
    head = client.read("HEAD", "/", {})
    assert head is not None
    assert (head.headers["content-length"], head.body) == ("5", b"")
    assert client.read("GET", "/", {}) is not None
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\n01234",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
        b"HTTP/1.1 many OK\r\nContent-Length: 5\r\n\r\n01234",
        b"nonsense",
        b"",
    ],
    ids=["chunked", "no length", "cut", "negative", "1.0", "no colon", "long", "many", "no status", "nonsense", "none"],
)
def test_what_is_not_the_plain_case_is_no_answer(serve: Serve, answer: bytes) -> None:
    """Never a body that may be another one."""
    assert reads(serve([answer])).read("GET", "/", {}) is None


def test_nobody_there_is_no_answer() -> None:
    """Port 9 of this machine."""
    assert HttpReads("http://127.0.0.1:9").read("GET", "/", {}) is None


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context for `localhost`, and the file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)


def test_over_tls_only_a_trusted_server_of_that_name_is_read(serve: Serve, tmp_path: Path) -> None:
    """The certificate must be of an authority that is trusted, and for the host that was asked."""
    tls, authority = certificate(tmp_path)
    port = serve([OK], [], [], tls=tls).port
    trusted = HttpReads(f"https://localhost:{port}", ca_file=authority).read("GET", "/", {})
    assert trusted is not None
    assert trusted.body == b"01234"
    assert HttpReads(f"https://localhost:{port}").read("GET", "/", {}) is None
    assert HttpReads(f"https://127.0.0.1:{port}", ca_file=authority).read("GET", "/", {}) is None
