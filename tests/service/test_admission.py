import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from egoreact.errors import EgoReactError
from serving.admission import Admission, Limits, decode_image
from serving.protocol import Refused


def image_bytes(width: int, height: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 120, np.uint8)).save(buffer, form)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and breaks off before its first pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 1000) + b"IDAT"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_becomes_rgb(form):
    rgb = decode_image(image_bytes(48, 32, form), 2048)
    assert rgb.shape == (32, 48, 3)
    assert rgb.dtype == np.uint8
    assert abs(int(rgb.mean()) - 120) <= 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 1007),
        (b"\0" * 500, 1007),
        (image_bytes(64, 64)[:-40], 1007),
        (image_bytes(64, 64, "JPEG")[:200], 1007),
        (image_bytes(64, 64, "GIF"), 1007),
        (image_bytes(64, 64, "TIFF"), 1007),
        (image_bytes(1, 1), 1008),
        (image_bytes(15, 64), 1008),
        (image_bytes(2049, 64), 1008),
        (png_header(8192, 8192), 1008),
        (png_header(2**31 - 1, 2**31 - 1), 1008),
    ],
)
def test_what_is_no_image_in_the_limits_is_refused(content, code):
    with pytest.raises(Refused) as refused:
        decode_image(content, 2048)
    assert refused.value.close_code == code
    assert "\n" not in refused.value.line


def test_a_size_is_judged_before_a_pixel_is_read():
    """A header that claims 8K but holds no pixels is refused for its size, not for being cut short."""
    with pytest.raises(Refused, match="8192 x 8192 px"):
        decode_image(png_header(8192, 8192), 2048)


def test_slots_are_given_taken_and_given_back():
    admission = Admission(Limits(max_sessions=2, max_uploads=1))
    with admission.slot("session"), admission.slot("session"), admission.slot("upload"):
        for kind in ("session", "upload"):
            with pytest.raises(Refused, match=f"{kind} slots are taken") as refused, admission.slot(kind):
                pass
            assert (refused.value.status, refused.value.close_code) == (503, 1013)
            assert refused.value.retry_after_s
        assert admission.in_progress == {"session": 2, "upload": 1}
    assert admission.in_progress == {"session": 0, "upload": 0}
    with pytest.raises(RuntimeError), admission.slot("session"):
        raise RuntimeError
    assert admission.in_progress["session"] == 0


def test_limits_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("EGOREACT_MAX_SESSIONS", "3")
    assert Limits.from_environment() == Limits(max_sessions=3)


@pytest.mark.parametrize("value", ["0", "-1", "many", "2.5", ""])
def test_a_limit_that_is_no_number_is_named(monkeypatch, value):
    monkeypatch.setenv("EGOREACT_IDLE_SECONDS", value)
    with pytest.raises(EgoReactError, match="EGOREACT_IDLE_SECONDS"):
        Limits.from_environment()


def test_a_slot_that_is_free_soon_is_told():
    admission = Admission(Limits(max_sessions=1))
    with admission.slot("session"):
        for next_free_s, said in ((2.2, 3), (0.01, 1), (100, 5)):
            with pytest.raises(Refused) as refused, admission.slot("session", next_free_s=next_free_s):
                pass
            assert refused.value.retry_after_s == said


def test_a_service_that_drains_lets_nobody_in_and_keeps_who_is_there():
    admission = Admission(Limits())
    with admission.slot("session"):
        admission.draining = True
        for kind in ("session", "upload"):
            with pytest.raises(Refused, match="restarts") as refused, admission.slot(kind):
                pass
            assert (refused.value.status, refused.value.close_code) == (503, 1012)
        assert admission.in_progress["session"] == 1
