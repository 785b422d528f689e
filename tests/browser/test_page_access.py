"""A service with tokens: the page asks, keeps the token in its tab, shows it as a subprotocol, forgets it on demand."""

import subprocess
import sys

import pytest
from page_driver import until_frames, until_status
from running import ROOT, environment


@pytest.fixture(scope="module")
def tokens(releases):
    """The environment of a service whose one token is `secret`, and that secret."""
    path = releases / "tokens.jsonl"
    command = [sys.executable, "-m", "egoreact.cli", "token", "create", "visitor"]
    made = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(releases / "home", EGOREACT_TOKENS=path),
        check=True,
        capture_output=True,
        text=True,
    )
    return path, made.stdout.strip()


def test_a_token_is_asked_for_and_kept_in_the_tab(serve, visit, tokens):
    path, secret = tokens
    with serve(EGOREACT_TOKENS=path) as service:
        page = visit(service.url, ready=False)
        page.locator("#token-dialog").wait_for()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("does not know this token").wait_for()
        page.keyboard.type(secret)
        page.keyboard.press("Enter")
        until_status(page, "idle")
        page.locator("#start:enabled").wait_for()
        page.click("#start")
        until_frames(page, 4)
        kept = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
        assert kept == [[secret], [], ""]
        assert secret not in page.url
        page.reload()
        page.locator("#start:enabled").wait_for()
        page.click("#model")
        page.click("#token-forget")
        page.locator("#token-dialog").wait_for()
        assert page.evaluate("sessionStorage.length") == 0
        page.click("#token-later")
        assert page.locator("#state").inner_text() == "token needed"
        page.click("#start")
        assert page.locator("#token-dialog").is_visible()


def test_recording_is_asked_first(serve, visit, tmp_path):
    with serve(EGOREACT_RECORDINGS=tmp_path, EGOREACT_RECORD_SHARE=1) as service:
        page = visit(service.url)
        assert not page.locator("#consent").is_checked()
        page.click("#start")
        until_frames(page, 4)
        assert page.evaluate("window.egoreact.recorded") is False
        assert page.locator("#kept").is_hidden()
        assert not list(tmp_path.iterdir())
        page.check("#consent")
        page.click("#reset")
        page.locator("#kept").wait_for()
        until_frames(page, 8)
        page.click("#start")
        page.check("input[value=file]", force=True)
        until_status(page, "idle")
    assert list(tmp_path.glob("*.egorec"))
