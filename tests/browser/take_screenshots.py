"""Takes the pictures of the page that the docs show, of the released model: `python tests/browser/take_screenshots.py`.

Starts the service with the bundle that the last release names, streams samples to it in headless Chromium, pauses when
the body reacts and writes docs/page-light.png, page-dark.png and page-phone.png, each below 300 kB.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

import numpy as np
from page_driver import DESK, OPTIONS, PHONE, until, until_status
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from running import ROOT, running

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.workspace import Workspace
from serving.runtime import Served

MAX_BYTES = 300_000
DRAWN_FINELY_MS = 2_500
"""After a pause the page draws the still picture once more, finely; without a graphics card that takes its time."""
PICTURES = {
    "page-light": (DESK, "light", "Ball left", 1.55),
    "page-dark": (DESK, "dark", "Car", 1.95),
    "page-phone": (PHONE, "light", "Dog", 1.9),
}
"""File name: window, scheme, sample, and the second of the video to pause at."""
PAUSE_AT = """seconds => new Promise(paused => {
  const look = setInterval(() => {
    if (document.getElementById("video").currentTime < seconds) return;
    clearInterval(look);
    document.getElementById("start").click();
    paused();
  }, 5);
})"""


def take(browser: Browser, url: str, name: str) -> bytes:
    """PNG of the page, paused within a sample."""
    viewport, scheme, sample, seconds = PICTURES[name]
    scale = 2 if viewport is PHONE else 1
    context = browser.new_context(viewport=viewport, color_scheme=scheme, device_scale_factor=scale)
    page = context.new_page()
    page.goto(url)
    page.locator("#start:enabled").wait_for()
    page.select_option("#samples", label=sample)
    page.locator("#start:enabled").wait_for()
    until(page, "document.getElementById('video').readyState >= 2")
    page.click("#start")
    until_status(page, "live")
    page.evaluate(PAUSE_AT, seconds)
    until_status(page, "paused")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(DRAWN_FINELY_MS)
    picture = page.screenshot()
    context.close()
    return small(picture)


def small(png: bytes) -> bytes:
    """The same picture below `MAX_BYTES`, where need be in coarser steps of colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.uint16)
    for step in (1, 2, 4, 8):
        coarse = np.minimum((pixels + step // 2) // step * step, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


def _workspace(home: Path) -> Path:
    """One with the releases of this machine, and without tokens that the service would ask for."""
    (home / "releases").symlink_to(Workspace.from_environment().releases.absolute())
    return home


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise EgoReactError("is not installed", where="chromium", remedy="apt-get install chromium")
    Served.find()  # else it says what is missing
    with (
        tempfile.TemporaryDirectory() as home,
        running(_workspace(Path(home))) as service,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        for name in PICTURES:
            picture = take(browser, service.url, name)
            with whole_file(ROOT / "docs" / f"{name}.png") as beside:
                beside.write_bytes(picture)
            print(f"docs/{name}.png  {len(picture) // 1000} kB")
        browser.close()


if __name__ == "__main__":
    try:
        main()
    except EgoReactError as error:
        sys.exit(f"error: {error}")
