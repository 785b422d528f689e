"""Log lines say which session and bundle they are of, as people or machines like it, and give no secret away."""

import io
import json
import logging
import time

import pytest
from running import get, running

from egoreact.errors import EgoReactError
from serving.logs import configure_logs, say, session_log

SESSION = "0123456789abcdef0123456789abcdef"
DIGEST = "5b" * 32


@pytest.fixture
def lines(monkeypatch):
    """Gives what BentoML's handler writes, as lines; its loggers are the test's own meanwhile."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    for name in ("", "bentoml", "uvicorn.error", "circus"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [handler] if name == "bentoml" else [])
    monkeypatch.setattr(logging.getLogger("bentoml"), "propagate", False)
    monkeypatch.setattr(logging.getLogger("bentoml"), "level", logging.INFO)
    return lambda: output.getvalue().splitlines()


@pytest.fixture(params=["json", "plain"])
def form(request, monkeypatch):
    monkeypatch.setenv("EGOREACT_LOG", request.param)
    return request.param


def test_a_json_line_is_one_object_with_session_and_bundle(lines, monkeypatch):
    monkeypatch.setenv("EGOREACT_LOG", "json")
    configure_logs()
    session_log(SESSION, DIGEST).warning("frame %d is no picture", 7)
    (line,) = map(json.loads, lines())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING", "logger": "bentoml.egoreact", "message": "frame 7 is no picture",
        "session": "01234567", "bundle": "5b5b5b5b5b5b",
    }  # fmt: skip


def test_a_plain_line_says_the_same(lines, monkeypatch):
    monkeypatch.delenv("EGOREACT_LOG", raising=False)
    configure_logs()
    session_log(SESSION, DIGEST).warning("frame %d is no picture", 7)
    (line,) = lines()
    assert line.endswith(" WARNING frame 7 is no picture (session 01234567, bundle 5b5b5b5b5b5b)")


def test_lines_of_no_session_name_the_bundle_that_is_served(lines, form):
    configure_logs()
    configure_logs(DIGEST)
    logging.getLogger("bentoml.access").info("GET /v1/model")
    (line,) = lines()
    assert line.count("5b5b5b5b5b5b") == 1 and "session" not in line


def test_a_traceback_stays_within_its_json_line(lines, monkeypatch):
    monkeypatch.setenv("EGOREACT_LOG", "json")
    configure_logs()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        session_log(SESSION, DIGEST).exception("a live session failed")
    (line,) = map(json.loads, lines())
    assert line["message"] == "a live session failed"
    assert line["traceback"].endswith("ValueError: two\nlines")


SECRET = "egr_S3cret-Token_value"


@pytest.mark.parametrize(
    "said",
    [
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Bearer {SECRET}'}}",
        f"[(b'authorization', b'Bearer {SECRET}')]",
        f"subprotocols egoreact.v2, bearer.{SECRET}",
        f"bearer%20{SECRET}",
        f'"WebSocket /v1/stream?seed=3&resume={SECRET}" [accepted]',
        f"token={SECRET}, again",
    ],
)
def test_no_line_holds_a_token_in_whatever_way_it_is_said(lines, form, said):
    configure_logs(DIGEST)
    log = logging.getLogger("bentoml.egoreact")
    log.warning(said)
    log.warning("%s", said)
    log.warning("with more", extra={"headers": said})
    try:
        raise RuntimeError(said)
    except RuntimeError:
        log.exception("it failed")
    assert len(lines()) >= 4 and SECRET not in "\n".join(lines())


def test_no_line_holds_a_whole_id_of_a_session_or_a_picture(lines, form):
    configure_logs(DIGEST)
    picture = b"\xff\xd8\xff\xe0 JFIF \\' \" quoted" * 3
    log = session_log(SESSION, DIGEST)
    log.warning("session %s sent %r", SESSION, picture)
    log.warning("more", extra={"image": picture})
    text = "\n".join(lines())
    assert SESSION not in text and "JFIF" not in text and "01234567" in text


def test_a_form_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("EGOREACT_LOG", "xml")
    with pytest.raises(EgoReactError, match="EGOREACT_LOG: 'xml' is no form of log; set plain or json"):
        configure_logs()


def test_the_commands_own_lines_have_the_same_form(form, capsys):
    say("ready at http://127.0.0.1:3000")
    line = capsys.readouterr().out.rstrip("\n")
    assert (json.loads(line)["message"] if form == "json" else line) == "ready at http://127.0.0.1:3000"


def test_every_line_of_a_service_is_json_where_that_is_wanted(bundle_folder, tmp_path):
    with running(tmp_path, EGOREACT_BUNDLE=bundle_folder, EGOREACT_LOG="json") as service:
        digest = json.loads(get(f"{service.url}/v1/model"))["digest"]
        give_up_at = time.monotonic() + 60
        while "/v1/model" not in service.log.read_text() and time.monotonic() < give_up_at:
            time.sleep(0.05)
    said = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in said)
    (request,) = [line for line in said if "/v1/model" in line["message"]]
    assert request["bundle"] == digest[:12] and request["logger"] == "bentoml.access"
