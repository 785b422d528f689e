"""What the browser tests share: how Chromium is started, windows, and waiting for what the page says of itself."""

import time
from pathlib import Path

DESK, TABLET, PHONE = ({"width": w, "height": h} for w, h in ((1280, 800), (820, 1180), (360, 740)))
OPTIONS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


def watch(page, url: str) -> None:
    """Lists in `page.mistakes` what a page must not do: throw, log an error, or ask another host for anything."""
    page.mistakes = []
    page.on("pageerror", lambda error: page.mistakes.append(str(error)))
    page.on("console", lambda line: page.mistakes.append(line.text) if _mistake(line) else None)
    page.on("request", lambda request: page.mistakes.append(request.url) if _elsewhere(request.url, url) else None)


def until(page, expression: str, seconds: float = 40.0):
    """Waits until a script's value is true. Not Playwright's own wait: it evaluates strings, which the page forbids."""
    give_up_at = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        said = page.evaluate("JSON.stringify({...window.egoreact, joints: 0, motion: 0})")
        assert time.monotonic() < give_up_at, (expression, said)
        time.sleep(0.1)
    return value


def until_status(page, status: str, seconds: float = 40.0) -> None:
    until(page, f"window.egoreact.status === '{status}'", seconds)


def until_frames(page, frames: int) -> None:
    until(page, f"window.egoreact.frames >= {frames}")


def banner(page) -> str:
    """The message on show."""
    page.locator("#banner-text:not(:empty)").wait_for(state="visible", timeout=20_000)
    return page.locator("#banner-text").inner_text()


def choose_file(page, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    page.check("input[value=file]", force=True)
    page.set_input_files("#file", str(path))
    page.locator("#start:enabled").wait_for()


def download(page, button: str, folder: Path) -> Path:
    """Presses a button that saves a file; where it lies."""
    with page.expect_download() as waiting:
        page.click(button)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def _mistake(line) -> bool:
    """An error of the page's own; the browser's words about a service that has gone, or wants a token, are none."""
    return line.type == "error" and not line.text.startswith(("Failed to load resource", "WebSocket connection"))


def _elsewhere(asked: str, url: str) -> bool:
    return not asked.startswith((url, url.replace("http", "ws"), "data:", "blob:"))
