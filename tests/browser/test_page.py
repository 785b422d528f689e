"""A person's way through the page: look, play, pause, another source, another window."""

import pytest
from page_driver import DESK, PHONE, TABLET, choose_file, until, until_frames, until_status
from running import make_video


def test_it_opens_with_a_sample_ready_and_plays_it(visit, service):
    page = visit(service.url)
    assert page.locator("h1").inner_text() == "EgoReAct"
    assert page.locator("#samples").inner_text().strip() == "Thrown ball"
    until(page, "document.getElementById('video').readyState >= 2")
    at_rest = page.evaluate("window.egoreact.joints")
    page.click("#play")
    until_frames(page, 12)
    assert page.evaluate("window.egoreact.joints") != at_rest
    state = page.evaluate("({...window.egoreact})")
    assert 0 < state["latency_ms"] <= state["p95_ms"]
    assert 0 < state["model_ms"] < state["p95_ms"]
    assert len(state["digest"]) == 64
    assert page.locator("#model-text code").inner_text() == state["digest"][:10]
    assert page.locator("#state").inner_text() == "live"
    assert page.locator("#latency").inner_text() != "–"


def test_the_model_tells_where_it_comes_from(visit, service):
    page = visit(service.url)
    page.click("#model")
    rows = page.locator("#about-rows").inner_text()
    assert page.evaluate("window.egoreact.digest") in rows
    page.keyboard.press("Escape")
    assert page.locator("#about").is_hidden()


def test_a_file_moves_the_body(visit, service, tmp_path):
    page = visit(service.url)
    choose_file(page, tmp_path / "own.mp4", make_video(61, 96))
    assert page.locator("#file-name").inner_text() == "own.mp4"
    at_rest = page.evaluate("window.egoreact.joints")
    page.click("#start")
    until_frames(page, 8)
    assert page.evaluate("window.egoreact.joints") != at_rest


def test_a_file_that_is_no_video_is_said(visit, service, tmp_path):
    page = visit(service.url)
    (tmp_path / "notes.mp4").write_bytes(b"not a film")
    page.check("input[value=file]", force=True)
    page.set_input_files("#file", str(tmp_path / "notes.mp4"))
    page.locator("#banner").wait_for(state="visible")
    assert "cannot play that video" in page.locator("#banner-text").inner_text()


def test_the_camera_moves_the_body_and_is_let_go(visit, service):
    page = visit(service.url)
    page.check("input[value=camera]", force=True)
    page.click("#start")
    until_frames(page, 8)
    page.click("#start")
    until_status(page, "idle")
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_a_pause_leaves_no_gap(visit, service):
    page = visit(service.url)
    page.click("#start")
    until_frames(page, 8)
    page.click("#start")
    until_status(page, "paused")
    page.wait_for_timeout(700)
    before = page.evaluate("({...window.egoreact})")
    page.wait_for_timeout(700)
    assert page.evaluate("window.egoreact.frames") == before["frames"]
    page.click("#start")
    until_frames(page, before["frames"] + 8)
    assert page.evaluate("window.egoreact.session") == before["session"]
    slack = 4  # a slow machine may drop a token; the pause drops none
    assert page.evaluate("window.egoreact.dropped") <= before["dropped"] + slack


def test_the_keyboard_alone_is_enough(visit, service):
    page = visit(service.url)
    wanted = ["skip", "model", "play", "canvas", "sample", "start", "reset", "samples", "repeat", "consent"]
    for name in wanted:
        page.keyboard.press("Tab")
        focus = "document.activeElement"
        assert page.evaluate(f"{focus}.id || {focus}.value || {focus}.className") == name
        ring = f"{focus}.type === 'radio' ? {focus}.nextElementSibling : {focus}"
        assert page.evaluate(f"getComputedStyle({ring}).outlineStyle") == "solid"
    page.focus("#canvas")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    until_frames(page, 8)
    page.keyboard.press("Space")
    until_status(page, "paused")
    page.keyboard.press("r")
    until(page, "window.egoreact.frames < 8")
    until_status(page, "live")
    page.focus("input[value=sample]")
    page.keyboard.press("ArrowRight")
    assert page.locator("input[value=file]").is_checked()
    until_status(page, "idle")


@pytest.mark.parametrize("viewport", [PHONE, TABLET, DESK], ids=["phone", "tablet", "desk"])
def test_nothing_is_wider_than_the_window(visit, service, viewport):
    page = visit(service.url, viewport)
    for kind in ("camera", "file", "sample"):
        page.check(f"input[value={kind}]", force=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    page.locator("#start:enabled").wait_for()
    page.click("#start")
    until_frames(page, 8)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    box = page.locator("#start").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]


def test_dark_where_the_system_is_dark(visit, service):
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    assert max(visit(service.url, color_scheme="dark").evaluate(lightness)) < 40
    page = visit(service.url, color_scheme="light")
    assert min(page.evaluate(lightness)) > 220
    page.emulate_media(color_scheme="dark")
    assert max(page.evaluate(lightness)) < 40


def test_reduced_motion_is_respected(visit, service):
    page = visit(service.url, reduced_motion="reduce")
    assert not page.locator("#repeat").is_checked()
    page.click("#start")
    until_status(page, "live")
    assert page.evaluate("document.getAnimations().length") == 0
