"""Names, structure, contrast and size of all that can be seen, in each state, light and dark, wide and narrow."""

from pathlib import Path

import pytest
from page_driver import DESK, PHONE, until_frames, until_status

AUDIT = Path(__file__).with_name("accessibility.js").read_text()


def faults(page) -> list[str]:
    page.evaluate("document.getAnimations().forEach((animation) => animation.finish && animation.cancel())")
    return page.evaluate(AUDIT)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_state_can_be_read_and_named(visit, service, viewport, scheme):
    page = visit(service.url, viewport, color_scheme=scheme)
    found = {"ready": faults(page)}
    page.click("#start")
    until_frames(page, 4)
    found["live"] = faults(page)
    page.click("#start")
    until_status(page, "paused")
    found["paused"] = faults(page)
    page.click("#model")
    found["about"] = faults(page)
    page.click("#about-close")
    for kind in ("file", "camera"):
        page.check(f"input[value={kind}]", force=True)
        found[kind] = faults(page)
    page.route("**/readyz", lambda route: route.abort())
    page.route("**/v1/model", lambda route: route.abort())
    until_status(page, "away", 20)
    found["away"] = faults(page)
    assert {state: lines for state, lines in found.items() if lines} == {}


def test_the_question_for_a_token_can_be_read_and_named(visit, service):
    page = visit(service.url)
    page.route("**/v1/model", lambda route: route.fulfill(status=401, body="{}"))
    page.evaluate("sessionStorage.setItem('egoreact-token', 'old')")
    page.reload()
    page.locator("#token-dialog").wait_for()
    assert faults(page) == []
    assert page.evaluate("document.activeElement.id") == "token"
