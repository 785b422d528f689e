"""Video in and out: lossless where it must be, by wall clock, and one line for what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.vision import video


@pytest.fixture
def ramp() -> np.ndarray:
    """40 frames, each of one grey level that says its number."""
    return np.broadcast_to((np.arange(40, dtype=np.uint8) * 6)[:, None, None, None], (40, 64, 64, 3)).copy()


def test_depth_keeps_every_millimetre():
    depth_m = np.random.default_rng(0).integers(0, 65535, (5, 32, 48)).astype(np.float32) / 1000
    np.testing.assert_allclose(video.decode_depth(video.encode_depth(depth_m)), depth_m, atol=1e-4)


def test_depth_that_is_none_becomes_zero():
    depth_m = np.array([[[np.nan, np.inf], [-1.0, 99.0]]], dtype=np.float32).repeat(16, 1).repeat(16, 2)
    decoded = video.decode_depth(video.encode_depth(depth_m))
    assert decoded[0, 0, 0] == decoded[0, 0, -1] == decoded[0, -1, 0] == 0
    assert decoded[0, -1, -1] == pytest.approx(65.535)


def test_segmentation_keeps_every_class():
    classes = np.random.default_rng(0).integers(0, 8, (5, 32, 48), dtype=np.uint8)
    assert np.array_equal(video.decode_segmentation(video.encode_segmentation(classes)), classes)


def test_the_same_frames_give_the_same_bytes(ramp):
    assert video.encode_video(ramp) == video.encode_video(ramp)
    assert video.encode_depth(ramp[..., 0].astype(np.float32)) == video.encode_depth(ramp[..., 0].astype(np.float32))


@pytest.mark.parametrize(
    ("fps", "expected"), [(20, range(40)), (10, range(0, 40, 2)), (40, [k // 2 for k in range(80)])]
)
def test_resampling_takes_the_newest_frame_at_each_tick(ramp, fps, expected):
    read = video.read_video(video.encode_video(ramp, crf=1), fps=fps)
    np.testing.assert_allclose(read[:, 32, 32, 0], ramp[list(expected), 32, 32, 0], atol=3)


def test_thirty_frames_a_second_become_twenty(ramp):
    read = video.read_video(video.encode_video(ramp, fps=30, crf=1), fps=20)
    assert len(read) == 27  # 40 / 30 s
    np.testing.assert_allclose(read[:3, 0, 0, 0] / 6, [0, 1, 3], atol=0.6)


def test_real_video_is_resampled_by_wall_clock(shared_data: Path):
    path = shared_data / "ego" / "ares" / "video.mp4"
    assert video.video_rate(path) == pytest.approx(30)
    assert video.read_video(path, fps=20).shape == (94, 224, 224, 3)


def one_line(function, *arguments, **options) -> str:
    with pytest.raises(EgoReactError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_read_is_one_line(tmp_path, ramp):
    whole = video.encode_video(ramp)
    assert "no such file" in one_line(video.read_video, tmp_path / "none.mp4")
    assert "cannot be read as video" in one_line(video.read_video, b"")
    assert "cannot be read as video" in one_line(video.read_video, b"text, not a video")
    assert "cannot be read as video" in one_line(video.read_video, whole[: len(whole) // 2])
    (tmp_path / "folder.mp4").mkdir()
    assert "no such file" in one_line(video.read_video, tmp_path / "folder.mp4")
    assert "cannot be decoded" in one_line(video.decode_depth, b"text")


def test_a_one_pixel_video_is_refused():
    tiny = video._encode(np.zeros((3, 2, 2, 3), np.uint8), "matroska", "ffv1", "gray", "rgb24", 20, {})
    assert "frames are 2 x 2 px" in one_line(video.read_video, tiny)


def test_a_size_that_changes_is_scaled_to_the_first():
    parts = [
        video._encode(np.full((6, *size, 3), grey, np.uint8), "mpegts", "libx264", "yuv420p", "rgb24", 20, {})
        for size, grey in (((48, 64), 40), ((96, 96), 200))
    ]
    frames = video.read_video(b"".join(parts))
    assert frames.shape == (12, 48, 64, 3)
    np.testing.assert_allclose(frames[:, 24, 32, 0], [40] * 6 + [200] * 6, atol=3)


def test_sound_alone_is_refused(tmp_path):
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 800)
    assert "holds no video stream" in one_line(video.read_video, tmp_path / "sound.wav")
