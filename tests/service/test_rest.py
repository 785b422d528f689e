import asyncio
import io
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pygltflib
import pytest
from running import get, make_bundle, make_frames, make_video, running

from egoreact.streaming.session import react
from serving.access import Access
from serving.answers import MEDIA_TYPES, accepted
from serving.protocol import Refused
from serving.runtime import Served
from serving.tokens import create_token
from serving.transfer import Caller, PacedAnswer

ROUTES = ["/", "/v1/model", "/v1/samples", "/v1/samples/none.mp4", "/assets/none.js", "/v1/openapi.json", "/nowhere"]


def assert_stamped(answer, loaded):
    assert answer.headers["x-egoreact-digest"] == loaded.digest
    assert answer.headers["x-egoreact-version"] == "unreleased"
    if answer.headers["content-type"] == "application/json" and "openapi" not in answer.text[:20]:
        assert answer.json()["digest"] == loaded.digest


def assert_one_line(answer, status):
    assert answer.status_code == status, answer.text
    line = answer.json()["error"]
    assert line and "\n" not in line and "Traceback" not in line
    assert "/tmp" not in line and ".py" not in line


def post(client, content, kind="video/mp4", query="", **headers):
    return client.post(f"/v1/reactions{query}", content=content, headers={"content-type": kind, **headers})


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_names_version_and_digest(connect, loaded, path):
    assert_stamped(connect().get(path), loaded)


def test_a_video_gives_what_the_engine_gives(connect, loaded, video):
    answer = post(connect(), video, query="?seed=3")
    assert answer.status_code == 200, answer.text
    assert_stamped(answer, loaded)
    body, expected = answer.json(), react(loaded.bundle, video, seed=3)
    np.testing.assert_allclose(body["joints_m"], expected.joints_m, atol=1e-6)
    assert body["tokens"] == expected.tokens.tolist()
    assert (body["frames"], body["fps"], body["seed"], len(body["joints"])) == (41, 20, 3, 22)


def test_a_form_gives_what_the_body_gives(connect, video):
    client = connect()
    as_form = client.post("/v1/reactions", files={"video": ("walk.mp4", video, "video/mp4")})
    assert as_form.status_code == 200, as_form.text
    assert as_form.json() == post(client, video).json()


def test_npz_by_accept_and_bvh_by_format(connect, loaded, video):
    client, expected = connect(), react(loaded.bundle, video)
    npz = post(client, video, accept="text/html, application/x-npz;q=0.9")
    assert npz.headers["content-type"] == "application/x-npz"
    assert_stamped(npz, loaded)
    arrays = np.load(io.BytesIO(npz.content))
    np.testing.assert_array_equal(arrays["joints"], expected.joints_m)
    assert arrays["bundle_digest"] == loaded.digest
    bvh = post(client, video, query="?format=bvh")
    assert bvh.text.startswith("HIERARCHY")
    assert "Frames: 41" in bvh.text.replace("\t", " ")


def test_glb_names_the_model_it_comes_from(connect, loaded, video):
    answer = post(connect(), video, accept="model/gltf-binary", query="?seed=3")
    assert answer.headers["content-type"] == "model/gltf-binary"
    assert_stamped(answer, loaded)
    document = pygltflib.GLTF2.load_from_bytes(answer.content)
    assert document.asset.extras == {
        "fps": 20, "frames": 41, "version": "unreleased", "digest": loaded.digest, "seed": 3,
    }  # fmt: skip
    assert len(document.animations) == 1


def test_ndjson_is_the_json_in_parts(connect, loaded, video):
    """41 frames: ten chunks of four and one of one, which ends with the video."""
    client = connect()
    answer = post(client, video, accept="application/x-ndjson", query="?seed=3")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert_stamped(answer, loaded)
    head, *chunks, tail = [json.loads(line) for line in answer.text.splitlines()]
    whole = post(client, video, query="?seed=3").json()
    assert {name: head[name] for name in ("fps", "seed", "joints", "parents", "digest")} == {
        name: whole[name] for name in ("fps", "seed", "joints", "parents", "digest")
    }
    assert [chunk["index"] for chunk in chunks] == list(range(11))
    assert [chunk["first_frame"] for chunk in chunks] == list(range(0, 44, 4))
    assert [chunk["token"] for chunk in chunks] == whole["tokens"]
    assert [frame for chunk in chunks for frame in chunk["joints_m"]] == whole["joints_m"]
    assert (tail["type"], tail["frames"], tail["chunks"]) == ("summary", 41, 11)


def test_ndjson_that_breaks_off_says_so_last(connect, video, monkeypatch):
    client = connect()
    runtime = client.app.state.runtime
    frames = [*make_frames(9), None]
    for what, line in (("stopping", "the service stops"), ("bug", "the service failed")):

        def broken(*_, what=what, **__):
            runtime.stopping = False
            for frame in frames:
                if frame is None:
                    runtime.stopping = what == "stopping"
                    yield frames[0] if what == "stopping" else 1 / 0
                else:
                    yield frame

        monkeypatch.setattr("serving.uploads.iterate_video", broken)
        answer = post(client, video, query="?format=ndjson")
        lines = [json.loads(text) for text in answer.text.splitlines()]
        assert answer.status_code == 200
        assert [entry.get("type") for entry in lines] == ["metadata", "chunk", "chunk", None]
        assert line in lines[-1]["error"] and lines[-1]["digest"]
        assert runtime.admission.in_progress["upload"] == 0


def test_ndjson_of_what_is_no_video_has_its_own_status(connect):
    assert_one_line(post(connect(), b"no video", query="?format=ndjson"), 422)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/x-npz;q=0.5, model/gltf-binary", "model/gltf-binary"),
        ("MODEL/*", "model/gltf-binary"),
        ("application/x-bvh;q=0, application/json", "application/json"),
        ("image/png", None),
        ("application/json;q=0", None),
    ],
)
def test_the_form_that_is_liked_best(accept, kind):
    if kind is None:
        with pytest.raises(Refused, match="no such form of answer"):
            accepted(accept)
    else:
        assert MEDIA_TYPES[accepted(accept)] == kind


@pytest.mark.parametrize(
    ("content", "kind", "query", "status"),
    [
        (b"", "video/mp4", "", 400),
        (b"this is no video", "video/mp4", "", 422),
        (b"\0" * 10_000, "application/octet-stream", "", 422),
        (b"{}", "application/json", "", 415),
        (b"x", "", "", 415),
        (b"no boundary", "multipart/form-data", "", 400),
        (b"x", "video/mp4", "?seed=-1", 422),
        (b"x", "video/mp4", "?seed=many", 422),
        (b"x", "video/mp4", "?format=fbx", 422),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(connect, loaded, content, kind, query, status):
    answer = post(connect(), content, kind, query)
    assert_one_line(answer, status)
    assert_stamped(answer, loaded)


def test_a_form_without_a_video_is_refused(connect):
    assert_one_line(connect().post("/v1/reactions", data={"video": "text"}), 415)
    assert_one_line(connect().post("/v1/reactions", files={"film": ("a.mp4", b"x", "video/mp4")}), 400)


def test_half_a_video_is_refused(connect, video):
    assert_one_line(post(connect(), video[: len(video) // 2]), 422)


def test_limits_of_an_upload(connect, video):
    assert_one_line(post(connect(max_upload_bytes=1000), video + bytes(10_000)), 413)
    assert_one_line(
        connect(max_upload_bytes=1000).post("/v1/reactions", files={"video": ("a.mp4", video + bytes(10_000))}), 413
    )
    too_long = post(connect(max_upload_seconds=1), video)
    assert_one_line(too_long, 413)
    assert "longer than 1 s" in too_long.json()["error"]
    assert_one_line(post(connect(max_upload_side_px=32), video), 422)


def test_a_full_service_says_when_to_come_back(connect, loaded, video):
    client = connect(max_uploads=1)
    with client.app.state.runtime.admission.slot("upload"):
        answer = post(client, video)
        assert_one_line(answer, 503)
        assert answer.headers["retry-after"] == "5"
        assert_stamped(answer, loaded)
    assert post(client, make_video(5)).status_code == 200


def test_a_stopping_service_gives_a_long_upload_up(connect):
    client = connect()
    runtime = client.app.state.runtime
    threading.Timer(0.3, lambda: setattr(runtime, "stopping", True)).start()
    answer = post(client, make_video(1190, 32))
    assert_one_line(answer, 503)
    assert "stops" in answer.json()["error"]
    assert runtime.admission.in_progress["upload"] == 0


def test_a_failure_inside_is_told_in_one_line(connect, monkeypatch, video):
    monkeypatch.setattr("serving.uploads.render", lambda *_: 1 / 0)
    assert_one_line(post(connect(), video), 500)


def test_the_model_says_where_it_comes_from(connect, loaded):
    model = connect(max_sessions=3).get("/v1/model").json()
    assert (model["fps"], model["frames_per_token"], model["protocol"], len(model["parents"])) == (20, 4, 2, 22)
    assert model["limits"]["max_sessions"] == 3
    assert model["origin"]["data_revision"] == loaded.bundle.manifest.data_revision
    assert str(loaded.served.folder) not in json.dumps(model)


def test_samples_are_listed_and_played(connect, loaded, video):
    folder = loaded.served.samples
    folder.mkdir(exist_ok=True)
    (folder / "thrown_ball.mp4").write_bytes(video)
    (folder / "notes.txt").write_text("not a sample")
    client = connect()
    listed = client.get("/v1/samples").json()["samples"]
    assert [(row["name"], row["title"]) for row in listed] == [("thrown_ball.mp4", "Thrown ball")]
    assert client.get(listed[0]["url"]).content == video
    part = client.get(listed[0]["url"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, video[10:20])
    for name in ("notes.txt", "%2e%2e%2fbundle%2fbundle.json", "..%2fbundle.json", ".mp4"):
        assert_one_line(client.get(f"/v1/samples/{name}"), 404)


def test_the_page_says_so_where_it_was_not_built(connect, tmp_path):
    answer = connect(tmp_path).get("/")
    assert answer.status_code == 503
    assert "make web" in answer.text


def test_the_page_loads_nothing_from_elsewhere(connect, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>page")
    (tmp_path / "assets" / "main-1.js").write_text("1")
    client = connect(tmp_path)
    page = client.get("/")
    assert page.text == "<!doctype html>page"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    script = client.get("/assets/main-1.js")
    assert "javascript" in script.headers["content-type"]
    assert "immutable" in script.headers["cache-control"]


def test_a_release_whose_bundle_changed_is_refused(bundle_folder, tmp_path, monkeypatch):
    from egoreact.errors import EgoReactError
    from egoreact.models.release import Release, write_release
    from egoreact.workspace import Workspace

    workspace = Workspace(tmp_path)
    monkeypatch.delenv("EGOREACT_BUNDLE", raising=False)
    with pytest.raises(EgoReactError, match=r"no promoted model yet.*make run"):
        Served.find(workspace)
    release = Release("4", "0" * 64, str(bundle_folder), "egoreact:x", "rev", "run", "2026-01-01T00:00:00Z")
    write_release(workspace, release)
    with pytest.raises(EgoReactError, match="its digest is"):
        Served.find(workspace)


def test_with_tokens_the_api_is_closed_and_the_page_open(connect, loaded, video, tmp_path):
    client = connect()
    path = tmp_path / "tokens.jsonl"
    client.app.state.runtime.access = Access(path)
    assert client.get("/v1/model").status_code == 200
    secret = create_token(path, "anna", rate_per_minute=1, sessions=1)
    for answer in (client.get("/v1/model"), post(client, video)):
        assert_one_line(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    for route in ("/", "/v1/samples", "/v1/openapi.json"):
        assert client.get(route).status_code != 401
    shown = {"authorization": f"Bearer {secret}"}
    assert client.get("/v1/model", headers=shown).status_code == 200
    assert post(client, video, **shown).status_code == 200
    over = post(client, video, **shown)
    assert_one_line(over, 429)
    assert 50 <= int(over.headers["retry-after"]) <= 60


def test_other_sites_may_read_only_where_they_are_listed(connect):
    lab = {"origin": "https://lab.example"}
    closed, opened = connect(), connect()
    opened.app.state.runtime.access = Access(origins=("https://lab.example",))
    asks = lab | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    assert_one_line(closed.get("/v1/model", headers=lab), 403)
    assert "access-control-allow-origin" not in closed.options("/v1/reactions", headers=asks).headers
    answer = opened.get("/v1/model", headers=lab)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://lab.example")
    asked = opened.options("/v1/reactions", headers=asks)
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://lab.example")
    assert_one_line(opened.get("/v1/model", headers={"origin": "https://other.example"}), 403)


def test_for_a_slow_reader_no_more_is_made_and_it_is_given_up():
    """A transport that takes one piece and no more: what a client does that stops reading."""
    made, closed, sent = [], [], []

    async def pieces():
        for index in range(1000):
            made.append(index)
            yield b"piece"

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        if sent and sent[-1].get("body"):
            await asyncio.sleep(60)
        sent.append(message)

    async def close():
        closed.append(True)

    async def answer():
        paced = PacedAnswer(pieces(), caller=Caller(receive), close=close, idle_seconds=0.2, media_type="text/plain")
        await paced({"type": "http"}, receive, send)

    started = time.monotonic()
    asyncio.run(answer())
    assert 0.2 <= time.monotonic() - started < 20
    assert (made, closed) == ([0, 1], [True])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


class TestOnTheWire:
    """Clients that leave, read slowly or send much, against the running service."""

    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory):
        home = tmp_path_factory.mktemp("home")
        make_bundle(home / "b")
        with running(home, EGOREACT_BUNDLE=home / "b", EGOREACT_MAX_UPLOADS=1, EGOREACT_IDLE_SECONDS=2) as service:
            yield service

    def upload(self, service, video: bytes, form: str) -> socket.socket:
        address = urlsplit(service.url)
        opened = socket.create_connection((address.hostname, address.port))
        head = f"POST /v1/reactions?format={form} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: video/mp4\r\n"
        opened.sendall(f"{head}Content-Length: {len(video)}\r\n\r\n".encode() + video)
        opened.settimeout(20)
        return opened

    def seconds_until_free(self, service) -> float:
        started = time.monotonic()
        while b"egoreact_uploads 0.0" not in get(f"{service.url}/metrics"):
            assert time.monotonic() < started + 20
            time.sleep(0.02)
        return time.monotonic() - started

    def test_chunks_come_while_they_are_made(self, service):
        with self.upload(service, make_video(1190, 32), "ndjson") as opened:
            reader = opened.makefile("rb")
            while b'"type":"chunk","index":3' not in reader.readline():
                pass
            assert b"egoreact_uploads 1.0" in get(f"{service.url}/metrics")

    @pytest.mark.parametrize("form", ["ndjson", "json"])
    def test_a_client_that_leaves_frees_its_slot(self, service, form):
        self.seconds_until_free(service)
        opened = self.upload(service, make_video(1190, 32), form)
        while b"egoreact_uploads 1.0" not in get(f"{service.url}/metrics"):
            time.sleep(0.02)
        opened.close()
        assert self.seconds_until_free(service) < 1.5

    def test_much_sent_holds_nobody_up(self, service):
        """60 MB come in while another asks whether the service lives."""
        self.seconds_until_free(service)
        done = threading.Event()

        def send():
            with self.upload(service, bytes(60_000_000), "json") as opened:
                opened.recv(1000)
            done.set()

        threading.Thread(target=send).start()
        waits_s = []
        while not done.is_set():
            started = time.monotonic()
            get(f"{service.url}/livez")
            waits_s.append(time.monotonic() - started)
        assert len(waits_s) > 20
        assert np.percentile(waits_s, 90) < 0.1
