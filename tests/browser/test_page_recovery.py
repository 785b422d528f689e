"""The service is full, cut off, restarted: the page says so, tries again ever later, and goes on."""

import time

import pytest
from page_driver import banner, until, until_frames, until_status


@pytest.fixture
def camera(visit):
    """A page that streams from the camera, which has no end."""

    def camera(url: str):
        page = visit(url)
        page.check("input[value=camera]", force=True)
        page.click("#start")
        until_frames(page, 8)
        return page

    return camera


def try_now(page):
    """At once, visible or not: a pointer may come after the page's own next try."""
    page.evaluate("document.querySelector('#banner-now').click()")


def test_a_full_service_is_said_and_waited_for(serve, visit, camera):
    with serve(EGOREACT_MAX_SESSIONS=1) as service:
        first, second = camera(service.url), visit(service.url)
        second.click("#start")
        assert "slots are taken" in banner(second)
        assert "Next try in" in second.locator("#banner-wait").inner_text()
        assert second.evaluate("window.egoreact.status") == "connecting"
        first.click("#start")
        until_status(first, "idle")
        try_now(second)
        until_frames(second, 4)


def test_a_lost_connection_goes_on_where_it_was(service, relay, camera):
    relay.lead_to(service.url)
    page = camera(relay.url)
    relay.cut()
    until_status(page, "reconnecting")
    assert "connection to the service is lost" in banner(page)
    before = page.evaluate("({...window.egoreact})")
    relay.plug()
    try_now(page)
    until_frames(page, before["frames"] + 8)
    after = page.evaluate("({...window.egoreact})")
    assert after["resumed"] and after["session"] == before["session"]
    assert "goes on where it was" in banner(page)


def test_a_service_that_goes_away_is_said_and_found_again(serve, relay, camera):
    with serve() as service:
        relay.lead_to(service.url)
        page = camera(relay.url)
        first = page.evaluate("window.egoreact.session")
        service.process.terminate()
        assert "about to restart" in banner(page)
        until_frames(page, page.evaluate("window.egoreact.frames") + 4)  # it has its time
        until_status(page, "reconnecting")
        assert "restarts" in banner(page)
    with serve() as service:
        relay.lead_to(service.url)
        until_status(page, "live")
        assert "new session" in banner(page)
        assert page.evaluate("window.egoreact.session") != first
        until_frames(page, 4)


def test_an_absent_service_is_asked_ever_later(service, relay, visit):
    relay.lead_to(service.url)
    page = visit(relay.url)
    asked = []
    page.on("request", lambda request: asked.append((time.monotonic(), request.url)))
    relay.cut()
    page.click("#start")
    assert "does not answer" in banner(page)
    page.click("#start")  # given up: now the page looks after the service by itself
    until_status(page, "idle")
    until_status(page, "away", 15)
    assert "does not answer" in banner(page)
    assert page.locator("#start").is_disabled()
    page.wait_for_timeout(8_000)
    models = [at for at, url in asked if url.endswith("/v1/model")]
    assert 2 <= len(models) <= 4
    relay.plug()
    try_now(page)
    page.get_by_text("The service is back.").wait_for()
    until_status(page, "idle")
    page.click("#start")
    until_frames(page, 4)


def test_a_page_that_opens_before_the_service_answers(service, relay, visit):
    relay.lead_to(service.url)
    page = visit(relay.url)
    page.route("**/v1/model", lambda route: route.abort())
    page.reload()
    until_status(page, "away")
    page.unroute("**/v1/model")
    page.locator("#start:enabled").wait_for()
    until(page, "document.getElementById('samples').options.length === 1")
