"""The table of bad input in docs/service.md, row by row, against the running service. A row without a test fails, and so
does a test without a row."""

import io
import re
import socket
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import av
import httpx
import msgpack
import numpy as np
import pytest
from PIL import Image
from running import Service, make_bundle, make_video, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from serving.tokens import create_token, revoke_token

LIMITS = {
    "EGOREACT_MAX_UPLOAD_BYTES": 200_000,
    "EGOREACT_MAX_UPLOAD_SECONDS": 3,
    "EGOREACT_MAX_UPLOAD_SIDE_PX": 128,
    "EGOREACT_MAX_UPLOADS": 1,
    "EGOREACT_MAX_SESSIONS": 1,
    "EGOREACT_MAX_IMAGE_SIDE_PX": 256,
    "EGOREACT_MAX_MESSAGE_BYTES": 50_000,
    "EGOREACT_IDLE_SECONDS": 2,
}
REACTIONS, STREAM, SAMPLE = "POST /v1/reactions", "WS /v1/stream", "GET /v1/samples/NAME"
FORM = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Row:
    where: str
    sent: str
    comes_back: str
    saying: str


def rows() -> list[Row]:
    text = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    lines = text.partition("## Bad input")[2].splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
    # Code marks stay off, but for those that the text itself has.
    plain = [[cell.strip().replace("\\`", "\0").replace("`", "").replace("\0", "`") for cell in row] for row in cells]
    return [Row(*row) for row in plain]


@dataclass(frozen=True)
class Got:
    """What came back: a status, a close code or a refused handshake, as the table writes it, and the line."""

    comes_back: str
    line: str


class Sender:
    """Sends to the service; with a token that fits, unless the row says otherwise."""

    def __init__(self, service: Service, tokens: dict[str, str], video: bytes):
        self.service, self.tokens, self.video = service, tokens, video
        self.bearer = {"Authorization": f"Bearer {tokens['anna']}"}

    def http(self, method: str, path: str, headers: dict | None = None, **more) -> Got:
        headers = self.bearer | (headers or {})
        answer = httpx.request(method, self.service.url + path, headers=headers, timeout=20, **more)
        assert "traceback" not in answer.text.lower() and str(Path.home()) not in answer.text
        body = answer.json()
        assert body["digest"] == answer.headers["x-egoreact-digest"]
        if answer.status_code in (429, 503):
            assert int(answer.headers["retry-after"]) >= 1
        return Got(str(answer.status_code), body["error"])

    def post(self, content=b"", kind: str | None = "video/mp4", query: str = "", **headers: str) -> Got:
        content_type = {} if kind is None else {"Content-Type": kind}
        return self.http("POST", f"/v1/reactions{query}", content_type | headers, content=content)

    def open(self, query: str = "", **headers: str):
        url = self.service.url.replace("http", "ws", 1) + f"/v1/stream{query}"
        return connect(url, additional_headers=self.bearer | headers, compression=None, max_size=2**20)

    def stream(self, *messages: bytes | str, query: str = "", **headers: str) -> Got:
        """Sends the messages after the hello; what the service says last."""
        try:
            with self.open(query, **headers) as connection:
                first = msgpack.unpackb(connection.recv(timeout=20))
                if first["type"] == "hello":
                    for message in messages:
                        connection.send(message)
                return self.last_words(connection, first)
        except InvalidStatus as refused:
            return Got(f"handshake {refused.response.status_code}", "")

    def last_words(self, connection, last: dict) -> Got:
        try:
            while True:
                last = msgpack.unpackb(connection.recv(timeout=20))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
        if last["type"] != "error":
            return Got(f"close {code}", "")
        assert last["code"] == code
        if code == 1013:
            assert last["retry_after_s"] >= 1
        return Got(f"close {code}", last["error"])


SENDS: dict[tuple[str, str], Callable[[Sender], Got]] = {}


def sends(where: str, sent: str):
    def keep(function: Callable[[Sender], Got]) -> Callable[[Sender], Got]:
        SENDS[where, sent] = function
        return function

    return keep


def form(*fields: tuple[str, str, bytes]) -> bytes:
    """A form's body; a field is name, file name or "", content."""
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b'; filename="%s"' % file.encode() if file else b"", content)
        for name, file, content in fields
    ]
    return b"".join(parts) + b"--x--\r\n"


def frame(**changes) -> bytes:
    fields = {"seq": 0, "captured_at": 0.0, "image": image(32), **changes}
    return msgpack.packb({name: value for name, value in fields.items() if value is not None})


def image(side: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    return buffer.getvalue()


def tiny_video() -> bytes:
    """Lossless frames of 8 px, which H.264 would not make."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("ffv1", rate=20)
        stream.width = stream.height = 8
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


def slowly(bytes_a_piece: int) -> Iterator[bytes]:
    for _ in range(40):
        yield bytes(bytes_a_piece)
        time.sleep(0.25)


def raw(service: Service, content: bytes) -> socket.socket:
    address = urlsplit(service.url)
    opened = socket.create_connection((address.hostname, address.port), timeout=20)
    opened.sendall(content)
    return opened


def half_a_body(sender: Sender) -> socket.socket:
    head = f"POST /v1/reactions HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\nContent-Length: 9000\r\n{_header(sender)}\r\n"
    return raw(sender.service, head.encode() + bytes(4500))


def _header(sender: Sender) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in sender.bearer.items())


SENDS |= {
    (REACTIONS, "an empty body"): lambda s: s.post(),
    (REACTIONS, "a form without video"): lambda s: s.post(form(("film", "a.mp4", s.video)), FORM),
    (REACTIONS, "a form whose video is text"): lambda s: s.post(form(("video", "", b"text")), FORM),
    (REACTIONS, "a form without a boundary"): lambda s: s.post(b"x", "multipart/form-data"),
    (REACTIONS, "a form of more than one file"): lambda s: s.post(form(*2 * [("video", "a.mp4", b"x")]), FORM),
    (REACTIONS, "JSON"): lambda s: s.post(b"{}", "application/json"),
    (REACTIONS, "no content type"): lambda s: s.post(b"x", None),
    (REACTIONS, "bytes that are no video"): lambda s: s.post(b"this is no video"),
    (REACTIONS, "half a video"): lambda s: s.post(s.video[: len(s.video) // 2]),
    (REACTIONS, "sound without pictures"): lambda s: s.post(sound(), "application/octet-stream"),
    (REACTIONS, "frames under 16 px"): lambda s: s.post(tiny_video(), "video/x-matroska"),
    (REACTIONS, "frames over max_upload_side_px"): lambda s: s.post(make_video(3, 160)),
    (REACTIONS, "a video over max_upload_seconds"): lambda s: s.post(make_video(90, 32)),
    (REACTIONS, "such a video, as NDJSON"): lambda s: s.post(make_video(90, 32), query="?format=ndjson"),
    (REACTIONS, "more than max_upload_bytes"): lambda s: s.post(bytes(300_000)),
    (REACTIONS, "less than 32 KiB a second"): lambda s: s.post(slowly(1000)),
    (REACTIONS, "seed=-1"): lambda s: s.post(s.video, query="?seed=-1"),
    (REACTIONS, "seed=2147483648"): lambda s: s.post(s.video, query="?seed=2147483648"),
    (REACTIONS, "seed=many"): lambda s: s.post(s.video, query="?seed=many"),
    (REACTIONS, "format=fbx"): lambda s: s.post(s.video, query="?format=fbx"),
    (REACTIONS, "Accept: image/png"): lambda s: s.post(s.video, Accept="image/png"),
    (REACTIONS, "no token"): lambda s: s.post(s.video, Authorization=""),
    (REACTIONS, "a wrong token"): lambda s: s.post(s.video, Authorization="Bearer egoreact_wrong"),
    (REACTIONS, "a revoked token"): lambda s: s.post(s.video, Authorization=f"Bearer {s.tokens['gone']}"),
    (REACTIONS, "the Origin of another site"): lambda s: s.post(s.video, Origin="https://elsewhere.example"),
    ("GET /v1/reactions", "nothing"): lambda s: s.http("GET", "/v1/reactions"),
    ("GET /v1/stream", "no WebSocket handshake"): lambda s: s.http("GET", "/v1/stream"),
    ("GET /v1/model", "no token"): lambda s: s.http("GET", "/v1/model", {"Authorization": ""}),
    (SAMPLE, "a name that is not listed"): lambda s: s.http("GET", "/v1/samples/none.mp4"),
    (SAMPLE, "..%2f..%2fbundle.json"): lambda s: s.http("GET", "/v1/samples/..%2f..%2fbundle.json"),
    ("GET /nowhere", "nothing"): lambda s: s.http("GET", "/nowhere"),
    (STREAM, "a text message"): lambda s: s.stream("hello"),
    (STREAM, "bytes that are no msgpack"): lambda s: s.stream(b"\xc1"),
    (STREAM, "an array"): lambda s: s.stream(msgpack.packb([1, 2])),
    (STREAM, "a map that claims 4 thousand million entries"): lambda s: s.stream(b"\xdf\xff\xff\xff\xff"),
    (STREAM, "no seq"): lambda s: s.stream(frame(seq=None)),
    (STREAM, "seq -1"): lambda s: s.stream(frame(seq=-1)),
    (STREAM, "seq 1.5"): lambda s: s.stream(frame(seq=1.5)),
    (STREAM, "a seq twice"): lambda s: s.stream(frame(), frame()),
    (STREAM, "captured_at NaN"): lambda s: s.stream(frame(captured_at=float("nan"))),
    (STREAM, "an empty image"): lambda s: s.stream(frame(image=b"")),
    (STREAM, "an image that is none"): lambda s: s.stream(frame(image=bytes(100))),
    (STREAM, "half an image"): lambda s: s.stream(frame(image=image(64, "JPEG")[:200])),
    (STREAM, "a GIF"): lambda s: s.stream(frame(image=image(32, "GIF"))),
    (STREAM, "an image of 8 px"): lambda s: s.stream(frame(image=image(8))),
    (STREAM, "an image over max_image_side_px"): lambda s: s.stream(frame(image=image(300))),
    (STREAM, "a message over max_message_bytes"): lambda s: s.stream(bytes(60_000)),
    (STREAM, "no frame for idle_seconds"): lambda s: s.stream(),
    (STREAM, "no token"): lambda s: s.stream(Authorization=""),
    (STREAM, "a wrong token"): lambda s: s.stream(Authorization="Bearer egoreact_wrong"),
    (STREAM, "the Origin of another site"): lambda s: s.stream(Origin="https://elsewhere.example"),
    (STREAM, "seed=-1"): lambda s: s.stream(query="?seed=-1"),
}


@sends(REACTIONS, "more than max_upload_bytes, in chunks of unknown number")
def too_many_chunks(sender: Sender) -> Got:
    return sender.post(bytes(20_000) for _ in range(20))


@sends(REACTIONS, "half a body, then nothing for idle_seconds")
def a_body_that_stops(sender: Sender) -> Got:
    with half_a_body(sender) as opened:
        head, _, body = opened.makefile("rb").read().partition(b"\r\n\r\n")
    line = re.search(rb'"error":"([^"]*)"', body)
    return Got(head.split()[1].decode(), line[1].decode() if line else "")


@sends(REACTIONS, "a video while all upload slots are taken")
def a_second_upload(sender: Sender) -> Got:
    with half_a_body(sender):
        time.sleep(0.3)
        return sender.post(sender.video)


@sends(REACTIONS, "more than the token's rate")
def too_many_uploads(sender: Sender) -> Got:
    ben = f"Bearer {sender.tokens['ben']}"
    assert sender.post(Authorization=ben).comes_back == "400"
    return sender.post(Authorization=ben)


@sends("any", "bytes that are no HTTP")
def no_http(sender: Sender) -> Got:
    with raw(sender.service, b"\x16\x03\x01 hello\r\n\r\n") as opened:
        head, _, body = opened.makefile("rb").read().partition(b"\r\n\r\n")
    return Got(head.split()[1].decode(), body.decode())


@sends(STREAM, "a session while all slots are taken")
def a_second_session(sender: Sender) -> Got:
    with sender.open() as connection:
        connection.recv(timeout=20)
        return sender.stream()


@sends(STREAM, "more than the token's rate")
def too_many_sessions(sender: Sender) -> Got:
    cleo = f"Bearer {sender.tokens['cleo']}"
    with sender.open(Authorization=cleo) as connection:
        assert msgpack.unpackb(connection.recv(timeout=20))["type"] == "hello"
    wait_for_a_slot(sender)
    return sender.stream(Authorization=cleo)


def wait_for_a_slot(sender: Sender) -> None:
    """A session whose client left a moment ago frees its slot once its step is done."""
    give_up_at = time.monotonic() + 60
    while 'egoreact_sessions{state="live"} 0.0' not in httpx.get(sender.service.url + "/metrics").text:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    make_bundle(home / "releases" / "b")
    path = home / "tokens.jsonl"
    rates = {"anna": 100_000, "ben": 1, "cleo": 1, "gone": 60}
    tokens = {name: create_token(path, name, rate_per_minute=rate, sessions=9) for name, rate in rates.items()}
    revoke_token(path, "gone")
    with running(home, EGOREACT_BUNDLE=home / "releases" / "b", EGOREACT_TOKENS=path, **LIMITS) as service:
        yield Sender(service, tokens, make_video(20, 32))


def test_each_test_has_a_row():
    assert set(SENDS) == {(row.where, row.sent) for row in rows()}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.where}: {row.sent}")
def test_row(sender, row):
    if row.where == STREAM:
        wait_for_a_slot(sender)
    got = SENDS[row.where, row.sent](sender)
    assert got.comes_back == row.comes_back, got
    wanted = "[^\n]*".join(re.escape(part) for part in row.saying.split("…"))
    assert re.fullmatch(wanted, got.line), got.line


def test_the_service_still_works_after_all_of_it(sender):
    answer = httpx.post(
        sender.service.url + "/v1/reactions", content=sender.video,
        headers=sender.bearer | {"Content-Type": "video/mp4"}, timeout=30,
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json()["frames"] == 20
    assert "Traceback" not in sender.service.log.read_text()
