"""A person's way through the page: look, start, stop, another source, a full service, one that goes away."""

import time

import pytest
from running import make_video

from serving.client import LiveSession

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


def until(page, expression: str, seconds: float = 40.0):
    """Waits until a script's value is true. Not Playwright's own wait: it evaluates strings, which the page forbids."""
    give_up_at = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        assert time.monotonic() < give_up_at, (expression, page.evaluate("JSON.stringify(window.egoreact)"))
        time.sleep(0.1)
    return value


@pytest.fixture
def open_page(chromium, service):
    contexts = []

    def open_page(viewport=DESK, scheme="light"):
        context = chromium.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.mistakes = []
        page.on("pageerror", lambda error: page.mistakes.append(str(error)))
        page.on(
            "request", lambda request: page.mistakes.append(request.url) if _elsewhere(request.url, service) else None
        )
        page.goto(service.url)
        until(page, "window.egoreact?.digest")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.mistakes == []
        context.close()


def _mistake(line) -> bool:
    """An error of the page's own; the browser's words about a service that has gone are none."""
    return line.type == "error" and not line.text.startswith(("Failed to load resource", "WebSocket connection"))


def _elsewhere(url: str, service) -> bool:
    return not url.startswith((service.url, service.url.replace("http", "ws"), "data:", "blob:"))


def test_a_sample_moves_the_body(open_page):
    page = open_page()
    assert page.locator("h1").inner_text() == "EgoReAct"
    until(page, "document.getElementById('samples').options.length === 1")
    at_rest = page.evaluate("window.egoreact.joints")
    page.click("#play")
    until(page, "window.egoreact.frames >= 12")
    moved = until(page, f"JSON.stringify(window.egoreact.joints) !== '{str(at_rest).replace(' ', '')}'")
    assert moved
    state = page.evaluate("({...window.egoreact})")
    assert state["latency_ms"] > 0
    assert len(state["digest"]) == 64
    assert page.locator("#model-text code").inner_text() == state["digest"][:10]
    assert page.locator("#state").inner_text() == "live"
    page.click("#start")
    until(page, "window.egoreact.status === 'idle'")


def test_a_file_by_keyboard_on_a_phone_in_the_dark(open_page, tmp_path):
    page = open_page(PHONE, "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    film = tmp_path / "own.mp4"
    film.write_bytes(make_video(61, 96))
    page.set_input_files("#file", str(film))
    assert page.locator("#file-name").inner_text() == "own.mp4"
    until(page, "!document.getElementById('start').disabled")
    page.focus("#start")
    page.keyboard.press("Enter")
    until(page, "window.egoreact.frames >= 8")
    page.focus("#canvas")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("r")
    until(page, "window.egoreact.frames < 8")
    page.focus("#start")
    page.keyboard.press("Enter")
    until(page, "window.egoreact.status === 'idle'")


def test_the_camera_moves_the_body(open_page):
    page = open_page()
    page.check("input[value=camera]", force=True)
    page.click("#start")
    until(page, "window.egoreact.frames >= 8")
    page.click("#start")


def test_a_full_service_is_said(open_page, service):
    page = open_page()
    until(page, "!document.getElementById('start').disabled")
    give_up_at = time.monotonic() + 20
    while True:  # the slot of the page before comes back when its socket has closed
        try:
            session = LiveSession(service.url)
            break
        except Exception:
            assert time.monotonic() < give_up_at
            time.sleep(0.2)
    with session:
        page.click("#start")
        page.locator("#banner").wait_for(state="visible")
        assert "slots are taken" in page.locator("#banner").inner_text()
        assert page.evaluate("window.egoreact.status") == "idle"


def test_a_service_that_goes_away_is_said(open_page, service):
    """Last: it ends the service."""
    page = open_page()
    until(page, "!document.getElementById('start').disabled")
    page.click("#start")
    until(page, "window.egoreact.frames >= 4")
    service.stop()
    page.locator("#banner").wait_for(state="visible", timeout=15_000)
    assert "went away" in page.locator("#banner").inner_text()
    assert page.evaluate("document.documentElement.dataset.status") == "away"
