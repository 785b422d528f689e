import io
import json
import threading

import numpy as np
import pytest
from running import make_video

from egoreact.streaming.session import react
from serving.runtime import Served

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
    monkeypatch.setattr("serving.app.render", lambda *_: 1 / 0)
    assert_one_line(post(connect(), video), 500)


def test_the_model_says_where_it_comes_from(connect, loaded):
    model = connect(max_sessions=3).get("/v1/model").json()
    assert (model["fps"], model["frames_per_token"], model["protocol"], len(model["parents"])) == (20, 4, 1, 22)
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
