"""Pictures for a live session, from a video file or a camera: the frames that tokens perceive, each with its tick.

OpenCV and PyAV are loaded when the first picture is asked for.
"""

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from egoreact.client.images import Rgb
from egoreact.client.wire import FPS, FRAMES_PER_TOKEN
from egoreact.errors import EgoReactError

Picture = tuple[int, Rgb, float]
"""Tick, RGB, and when it was captured, `time.perf_counter` seconds."""

TOKEN_S = FRAMES_PER_TOKEN / FPS
_CAMERA_PX = (640, 480)
_FIRST_PICTURE_S = 10.0


def boundary_frames(video: Path | bytes) -> Iterator[tuple[int, Rgb]]:
    """(seq, RGB) of the frames that tokens perceive, at 20 a second by wall clock: 0, 4, 8, …"""
    from egoreact.vision.video import iterate_video

    for seq, rgb in enumerate(iterate_video(video, fps=FPS)):
        if seq % FRAMES_PER_TOKEN == 0:
            yield seq, rgb


def paced_frames(video: Path | bytes, stop: threading.Event) -> Generator[Picture, None, None]:
    """`boundary_frames` at the video's own pace, as a camera would give them."""
    started_s: float | None = None
    for seq, rgb in boundary_frames(video):
        now_s = time.perf_counter()
        started_s = now_s if started_s is None else started_s
        if stop.wait(max(0.0, started_s + seq / FPS - now_s)):
            return
        yield seq, rgb, time.perf_counter()


class Camera:
    """A camera, open: pictures are taken all the time, and each token gets the newest."""

    def __init__(self, camera: str):
        """Args:
        camera: its number, from 0, or the address of a network camera that OpenCV opens, for example rtsp://….

        Raises:
            EgoReactError: no such camera, or OpenCV is not installed.
        """
        try:
            import cv2
        except ImportError as error:
            raise EgoReactError(
                "needs OpenCV", where=f"camera {camera}", remedy="pip install opencv-python-headless"
            ) from error
        self.name = f"camera {camera}"
        cv2.utils.logging.setLogLevel(0)  # it would print lines of its own about each backend it tried
        self._capture = cv2.VideoCapture(int(camera) if camera.isdecimal() else camera)
        if not self._capture.isOpened():
            raise EgoReactError("is not there", where=self.name, remedy="check its number, and who else uses it")
        for name, side_px in zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT), _CAMERA_PX, strict=True):
            self._capture.set(name, side_px)
        self._came = threading.Condition()
        self._newest: tuple[Rgb, float] | None = None
        self._ended = False

    def pictures(self, stop: threading.Event) -> Generator[Picture, None, None]:
        """The newest picture at each token's tick, until the camera gives no more; closes it in the end."""
        grabbing = threading.Thread(target=self._grab, args=(stop,), name="camera", daemon=True)
        grabbing.start()
        try:
            with self._came:
                self._came.wait_for(lambda: self._newest is not None or self._ended, _FIRST_PICTURE_S)
            if self._newest is None:
                raise EgoReactError("gives no pictures", where=self.name, remedy="check who else uses it")
            started_s, token = time.perf_counter(), 0
            while not stop.wait(max(0.0, started_s + token * TOKEN_S - time.perf_counter())) and not self._ended:
                # A sender that was held up for long skips the ticks that passed meanwhile.
                token = max(token, int((time.perf_counter() - started_s) / TOKEN_S))
                yield token * FRAMES_PER_TOKEN, *self._newest
                token += 1
        finally:
            stop.set()
            grabbing.join()
            self._capture.release()

    def _grab(self, stop: threading.Event) -> None:
        import cv2

        while not stop.is_set():
            taken, bgr = self._capture.read()
            with self._came:
                if taken:
                    self._newest = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), time.perf_counter()
                self._ended = not taken
                self._came.notify_all()
            if not taken:
                return
