"""What a stream gave: its motion and its latencies, kept as they come."""

import time
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from egoreact.client.wire import FPS, Chunk
from egoreact.errors import EgoReactError
from egoreact.files import whole_file

SUFFIXES = (".npz", ".bvh")


def check_suffix(path: Path) -> None:
    """Raises EgoReactError where motion cannot be written under such a name."""
    if path.suffix not in SUFFIXES:
        raise EgoReactError("motion is written as .npz or .bvh", where=path, remedy="name the file so")


class Tally:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.latencies_ms: list[float] = []
        self._dropped_before = 0

    def add(self, chunk: Chunk) -> float:
        """Takes in a chunk that has just come; gives its latency in ms, from the picture's capture to now."""
        latency_ms = (time.perf_counter() - chunk.captured_at) * 1e3
        if self.chunks and chunk.index <= self.chunks[-1].index:  # a new session counts from 0
            self._dropped_before += self.chunks[-1].dropped
        self.chunks.append(chunk)
        self.latencies_ms.append(latency_ms)
        return latency_ms

    @property
    def dropped(self) -> int:
        """Boundaries passed over, in this session and those before it."""
        return self._dropped_before + (self.chunks[-1].dropped if self.chunks else 0)

    def percentiles_ms(self) -> tuple[float, float]:
        """p50 and p95 of the latency so far."""
        p50, p95 = np.percentile(self.latencies_ms, (50, 95))
        return float(p50), float(p95)

    def joints_m(self) -> Float32[np.ndarray, "frames 22 3"]:
        return np.concatenate([chunk.joints_m for chunk in self.chunks])

    def summary(self) -> str:
        if not self.chunks:
            return "no motion came"
        p50, p95 = self.percentiles_ms()
        last = self.chunks[-1]
        return (
            f"{len(self.chunks)} chunks, {self.dropped} dropped, latency p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
            f"model {last.version}, bundle {last.digest[:12]}"
        )

    def write(self, path: Path) -> None:
        """Writes the motion by the path's suffix: .npz with `joints` (T, 22, 3) in metres and `fps`, or .bvh."""
        check_suffix(path)
        if path.suffix == ".npz":
            with whole_file(path) as beside:
                np.savez_compressed(beside, joints=self.joints_m(), fps=np.array(FPS))
            return
        try:
            from egoreact.motion.export import write_bvh
        except ImportError as error:
            raise EgoReactError(
                f"BVH needs {error.name}, which is not installed", where=path, remedy="write .npz instead"
            ) from error
        write_bvh(path, self.joints_m())
