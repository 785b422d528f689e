"""Video in and out through PyAV: H.264 for colour, FFV1 for what must come back bit for bit (depth, segmentation)."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float32, UInt8

from egoreact.errors import EgoReactError

MIN_SIDE_PX, MAX_SIDE_PX = 16, 8192
DEPTH_UNIT_M = 0.001
MAX_DEPTH_M = 65.535
"""Depth is stored as 16-bit millimetres: 0 means none, farther is clipped."""


def iterate_video(source: Path | bytes, *, fps: float | None = None, name: str | None = None) -> Iterator[np.ndarray]:
    """Yields RGB frames, (H, W, 3) uint8, in the order shown, holding one at a time.

    Frames of another size than the first are scaled to its, as players do.

    Args:
        source: a video file, or its bytes.
        fps: where given, frames are resampled by wall clock: output k is the newest frame shown at k / fps seconds.
        name: what to call bytes in an error.

    Raises:
        EgoReactError: no such file, not a video, no frames, or a side outside 16 to 8192 px.
    """
    where = name or (str(source) if isinstance(source, Path) else "video")
    if isinstance(source, Path) and not source.is_file():
        raise EgoReactError("no such file", where=where, remedy="check the path")
    count = 0
    try:
        with av.open(str(source) if isinstance(source, Path) else io.BytesIO(source), "r") as container:
            if not container.streams.video:
                raise EgoReactError("holds no video stream", where=where, remedy="give an mp4, webm, mkv or mov file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            _check_side(stream.width, stream.height, where)
            frames = container.decode(stream)
            converter = VideoReformatter()  # one for all frames: to set one up takes longer than to convert
            size: tuple[int, int] | None = None
            for image in frames if fps is None else _at_rate(frames, fps, float(stream.average_rate or 30)):
                size = size or (image.width, image.height)
                yield converter.reformat(image, format="rgb24", width=size[0], height=size[1]).to_ndarray()
                count += 1
    except (av.FFmpegError, OSError) as error:
        raise EgoReactError(
            f"cannot be read as video after {count} frames ({type(error).__name__})",
            where=where,
            remedy="check that the file is complete; re-encode it with: ffmpeg -i IN -c:v libx264 OUT.mp4",
        ) from error
    if count == 0:
        raise EgoReactError("has zero frames", where=where, remedy="give a video with at least one frame")


def _check_side(width: int, height: int, where: str) -> None:
    if not (min(width, height) >= MIN_SIDE_PX and max(width, height) <= MAX_SIDE_PX):
        raise EgoReactError(
            f"frames are {width} x {height} px", where=where, remedy=f"sides must be {MIN_SIDE_PX} to {MAX_SIDE_PX} px"
        )


def _at_rate(frames: Iterator[av.VideoFrame], fps: float, source_fps: float) -> Iterator[av.VideoFrame]:
    """The newest frame at each tick of the wall clock. A frame without a time stamp follows its neighbour at the rate."""
    tick, held, first, seconds = 0, None, None, -1 / source_fps
    for frame in frames:
        seconds = frame.time if frame.time is not None else seconds + 1 / source_fps
        first = seconds if first is None else first
        # Half a millisecond of slack: containers round their time stamps.
        while held is not None and tick / fps < seconds - first - 5e-4:
            yield held
            tick += 1
        held = frame
    end = seconds + 1 / source_fps - (first or 0.0)
    while held is not None and tick / fps < end - 5e-4:
        yield held
        tick += 1


def read_video(
    source: Path | bytes, *, fps: float | None = None, max_frames: int | None = None, name: str | None = None
) -> UInt8[np.ndarray, "frames height width 3"]:
    """All frames of a video at once. See `iterate_video`."""
    frames = []
    for frame in iterate_video(source, fps=fps, name=name):
        frames.append(frame)
        if max_frames is not None and len(frames) >= max_frames:
            break
    return np.stack(frames)


def video_rate(source: Path | bytes) -> float:
    """Frames a second that the container states."""
    with av.open(str(source) if isinstance(source, Path) else io.BytesIO(source)) as container:
        return float(container.streams.video[0].average_rate or 0)


def encode_video(frames: UInt8[np.ndarray, "frames height width 3"], *, fps: int = 20, crf: int = 18) -> bytes:
    """H.264 in an MP4, the same bytes for the same frames. Odd sides lose their last row or column (4:2:0 needs even)."""
    height, width = (side - side % 2 for side in frames.shape[1:3])
    # Without `cpu-independent` x264 rounds as the processor and the memory's layout suggest.
    options = {"crf": str(crf), "preset": "veryfast", "x264-params": "cpu-independent=1"}
    return _encode(frames[:, :height, :width], "mp4", "libx264", "yuv420p", "rgb24", fps, options)


def encode_depth(depth_m: Float32[np.ndarray, "frames height width"], *, fps: int = 20) -> bytes:
    """16-bit millimetres, lossless FFV1 in Matroska. Not finite or not positive becomes 0, which means none."""
    depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0.0)
    depth_mm = np.rint(np.minimum(depth_m, MAX_DEPTH_M) / DEPTH_UNIT_M).astype(np.uint16)
    return _encode(depth_mm, "matroska", "ffv1", "gray16le", "gray16le", fps, {"level": "3"})


def decode_depth(content: bytes, *, name: str = "depth") -> Float32[np.ndarray, "frames height width"]:
    """Metres; 0 where there is none."""
    return _decode_gray(content, "gray16le", name).astype(np.float32) * np.float32(DEPTH_UNIT_M)


def encode_segmentation(classes: UInt8[np.ndarray, "frames height width"], *, fps: int = 20) -> bytes:
    """Class numbers, lossless FFV1 in Matroska."""
    return _encode(classes, "matroska", "ffv1", "gray", "gray", fps, {"level": "3"})


def decode_segmentation(content: bytes, *, name: str = "segmentation") -> UInt8[np.ndarray, "frames height width"]:
    return _decode_gray(content, "gray", name)


def _decode_gray(content: bytes, pixel_format: str, name: str) -> np.ndarray:
    try:
        with av.open(io.BytesIO(content), "r") as container:
            return np.stack([frame.to_ndarray(format=pixel_format) for frame in container.decode(video=0)])
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise EgoReactError(
            f"cannot be decoded ({type(error).__name__})", where=name, remedy="rebuild or pull the shard again"
        ) from error


def _encode(
    frames: np.ndarray, container: str, codec: str, pixel_format: str, source_format: str, fps: int, options: dict
) -> bytes:
    buffer = io.BytesIO()
    # Without `bitexact` Matroska writes a random segment id and both containers the library's version.
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = output.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.time_base = Fraction(1, fps)
        stream.codec_context.thread_count = 1
        for index, array in enumerate(np.ascontiguousarray(frames)):
            frame = av.VideoFrame.from_ndarray(array, format=source_format)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()
