"""The BVH format: a skeleton and its channels frame by frame, as they stand in the file. What the joints mean is `mocap`'s."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.resample import Resampler

MAX_CHANNELS, MAX_FRAMES = 2_000, 1_000_000


@dataclass(frozen=True)
class BvhMotion:
    """A BVH file as it stands: its own units, names and rate. End sites are joints named `<parent>/end` without channels."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[np.ndarray, "joints 3"]
    channels: tuple[tuple[str, ...], ...]
    values: Float[np.ndarray, "frames channels"]
    frame_time_s: float
    where: str

    @property
    def num_frames(self) -> int:
        return len(self.values)

    def forward(self) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints 3 3"]]:
        """World positions, the file's unit, and world rotations of all joints."""
        return self._forward(*self._local())

    def at(
        self, times_s: np.ndarray
    ) -> tuple[Float[np.ndarray, "times joints 3"], Float[np.ndarray, "times joints 3 3"]]:
        """`forward` at other times: local rotations by slerp, so that bones keep their lengths."""
        translations, rotations = self._local()
        resampler = Resampler(times_s, fps=1 / self.frame_time_s, num_frames=self.num_frames)
        return self._forward(resampler.values(translations), resampler.rotations(rotations))

    def _local(self) -> tuple[np.ndarray, np.ndarray]:
        frames, joints = self.num_frames, len(self.names)
        translations = np.tile(self.offsets, (frames, 1, 1))
        rotations = np.tile(np.eye(3), (frames, joints, 1, 1))
        column = 0
        for joint, channels in enumerate(self.channels):
            values = dict(zip(channels, self.values[:, column : column + len(channels)].T, strict=True))
            column += len(channels)
            # A joint's position channels replace its offset.
            for axis, name in enumerate(("xposition", "yposition", "zposition")):
                if name in values:
                    translations[:, joint, axis] = values[name]
            turns = [name for name in channels if name.endswith("rotation")]
            if turns:
                angles = torch.from_numpy(np.radians(np.stack([values[name] for name in turns], axis=-1)))
                order = "".join(name[0].upper() for name in turns)
                rotations[:, joint] = roma.euler_to_rotmat(order, list(angles.unbind(-1))).numpy()
        return translations, rotations

    def _forward(self, translations: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positions, world = np.empty_like(translations), np.empty_like(rotations)
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                positions[:, joint], world[:, joint] = translations[:, joint], rotations[:, joint]
            else:
                positions[:, joint] = positions[:, parent] + np.einsum(
                    "tij,tj->ti", world[:, parent], translations[:, joint]
                )
                world[:, joint] = world[:, parent] @ rotations[:, joint]
        return positions, world


def read_bvh(path: Path) -> BvhMotion:
    """Parses a BVH file.

    Raises:
        EgoReactError: not BVH, truncated, numbers that are none, or a frame time of zero; names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise EgoReactError("no such file", where=path, remedy="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise EgoReactError(
            f"cannot be read as text ({type(error).__name__})", where=path, remedy="give a BVH file"
        ) from error
    names, parents, offsets, channels, line = _read_hierarchy(lines, path)
    values, frame_time_s = _read_motion(lines, line, sum(map(len, channels)), path)
    return BvhMotion(tuple(names), tuple(parents), np.array(offsets), tuple(channels), values, frame_time_s, str(path))


def _bad(path: Path, line: int, what: str, remedy: str = "check that the file is a complete BVH") -> EgoReactError:
    return EgoReactError(what, where=f"{path}, line {line + 1}", remedy=remedy)


def _numbers(words: list[str], path: Path, line: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise _bad(path, line, f"expected numbers, found {' '.join(words)[:60]!r}") from error
    if not np.isfinite(numbers).all():
        raise _bad(path, line, "holds a number that is not finite")
    return numbers


def _read_hierarchy(lines: list[str], path: Path):
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []
    if not any(line.strip() == "HIERARCHY" for line in lines[:50]):
        raise _bad(path, 0, "has no HIERARCHY: it is no BVH file")
    for number, line in enumerate(lines):
        words = line.split()
        if not words or words[0] in ("HIERARCHY", "{"):
            continue
        if words[0] == "MOTION":
            if open_joints or not names:
                raise _bad(path, number, "MOTION begins before the hierarchy is closed" if names else "has no joints")
            return names, parents, offsets, channels, number + 1
        if words[0] in ("ROOT", "JOINT", "End"):
            if words[0] == "ROOT" and names:
                raise _bad(path, number, "has a second ROOT", "export one skeleton to a file")
            if words[0] != "ROOT" and not open_joints:
                raise _bad(path, number, f"{words[0]} outside a joint")
            parent = open_joints[-1] if open_joints else -1
            names.append(f"{names[parent]}/end" if words[0] == "End" else " ".join(words[1:]))
            parents.append(parent)
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
            open_joints.append(len(names) - 1)
        elif words[0] == "OFFSET" and open_joints and len(words) == 4:
            offsets[open_joints[-1]] = _numbers(words[1:], path, number)
        elif words[0] == "CHANNELS" and open_joints and len(words) >= 2:
            kinds = tuple(word.lower() for word in words[2:])
            known = all(kind[:1] in ("x", "y", "z") and kind[1:] in ("position", "rotation") for kind in kinds)
            turns = sum(kind.endswith("rotation") for kind in kinds)
            if not known or words[1] != str(len(kinds)) or len(set(kinds)) != len(kinds) or turns not in (0, 3):
                raise _bad(path, number, f"unknown channels {' '.join(words[1:])!r}")
            channels[open_joints[-1]] = kinds
            if sum(map(len, channels)) > MAX_CHANNELS:
                raise _bad(path, number, f"has more than {MAX_CHANNELS} channels")
        elif words[0] == "}" and open_joints:
            open_joints.pop()
        else:
            raise _bad(path, number, f"expected a joint, found {line.strip()[:60]!r}")
    raise _bad(path, len(lines), "ends before MOTION: it is truncated", "copy the file again")


def _read_motion(lines: list[str], line: int, num_channels: int, path: Path) -> tuple[np.ndarray, float]:
    header: dict[str, str] = {}
    while line < len(lines) and len(header) < 2:
        if lines[line].strip():
            key, _, value = lines[line].partition(":")
            header[key.strip().lower()] = value.strip()
        line += 1
    try:
        frames, frame_time_s = int(header["frames"]), float(header["frame time"])
    except (KeyError, ValueError) as error:
        raise _bad(path, line - 1, "lacks 'Frames:' and 'Frame Time:' after MOTION") from error
    if not (np.isfinite(frame_time_s) and frame_time_s > 0):
        raise _bad(
            path,
            line - 1,
            f"has a frame time of {frame_time_s:g} s",
            "set 'Frame Time:' to 1 / rate, for example 0.0083333",
        )
    if not 2 <= frames <= MAX_FRAMES:
        raise _bad(path, line - 1, f"has {frames} frames", f"give 2 to {MAX_FRAMES} frames")
    rows: list[list[float]] = []
    for number in range(line, len(lines)):
        if not lines[number].strip():
            continue
        words = lines[number].split()
        if len(words) != num_channels:
            raise _bad(
                path, number, f"frame {len(rows)} has {len(words)} numbers, not {num_channels}", "copy the file again"
            )
        rows.append(_numbers(words, path, number))
    if len(rows) != frames:
        raise _bad(path, len(lines) - 1, f"has {len(rows)} frames where it announces {frames}", "copy the file again")
    return np.array(rows), frame_time_s
