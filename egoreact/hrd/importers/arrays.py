"""Arrays of strangers' files: never unpickled, never larger than they say, shapes named when they are wrong."""

import zipfile
from pathlib import Path

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import unpack_npz

MAX_BYTES = 1 << 30
"""Of a file's arrays, unpacked."""


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz.

    Raises:
        EgoReactError: missing, empty, no npz, larger than `MAX_BYTES` unpacked, or with pickled objects.
    """
    _check_size(path, path.stat().st_size if path.is_file() else None)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, sum(member.file_size for member in archive.infolist()))
    except (zipfile.BadZipFile, OSError) as error:
        raise EgoReactError(
            f"is not a readable npz ({type(error).__name__}: {error})", where=path, remedy="write it with numpy.savez"
        ) from error
    return unpack_npz(path.read_bytes(), where=str(path))


def read_npy(path: Path) -> np.ndarray:
    """The array of an npy, in memory.

    Raises:
        EgoReactError: missing, empty, no npy, larger than `MAX_BYTES`, shorter than its header says, or pickled objects.
    """
    _check_size(path, path.stat().st_size if path.is_file() else None)
    try:
        # Mapped, a header that promises more than the file holds is refused before anything is allocated.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError, MemoryError, OverflowError) as error:
        raise EgoReactError(
            f"is not a readable npy ({type(error).__name__}: {' '.join(str(error).split())[:120]})",
            where=path,
            remedy="write it with numpy.save, numbers alone",
        ) from error


def numbers(arrays: dict[str, np.ndarray], names: tuple[str, ...], widths: tuple[int, ...], path: Path) -> np.ndarray:
    """(frames, one of `widths`) finite float64: the first of `names` that there is.

    Raises:
        EgoReactError: none of them is there, or it is misshapen, has no numbers or is not finite.
    """
    name = next((name for name in names if name in arrays), None)
    width_text = " or ".join(map(str, widths))
    if name is None:
        raise EgoReactError(f"lacks the array {names[0]}", where=path, remedy=f"add it, (frames, {width_text})")
    array = arrays[name]
    if array.ndim != 2 or array.shape[1] not in widths or len(array) < 2 or array.dtype.kind not in "fiu":
        raise EgoReactError(
            f"{name} is {array.dtype} of shape {array.shape}",
            where=path,
            remedy=f"give numbers, (frames, {width_text}), at least 2 frames",
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise EgoReactError(
            f"{name} holds numbers that are not finite, first in frame {int((~finite).argmax())}",
            where=path,
            remedy="repair or cut the recording",
        )
    return array.astype(np.float64)


def same_length(found: dict[str, np.ndarray], path: Path) -> int:
    """How many rows all of the arrays have. Raises EgoReactError where they differ."""
    if len({len(value) for value in found.values()}) != 1:
        lengths = ", ".join(f"{name} {len(value)}" for name, value in found.items())
        raise EgoReactError(
            f"arrays differ in length: {lengths}", where=path, remedy="give as many rows to each as frames"
        )
    return len(next(iter(found.values())))


def rate(arrays: dict[str, np.ndarray], names: tuple[str, ...], given: float | None, path: Path) -> float:
    """Frames a second: given, or the first of `names` that there is. Raises EgoReactError outside 1 to 1000."""
    value = next((arrays[name] for name in names if name in arrays), None) if given is None else np.asarray(given)
    if value is None or value.size != 1 or value.dtype.kind not in "fiu" or not 1 <= float(value.reshape(())) <= 1000:
        raise EgoReactError(
            f"lacks a rate `{names[0]}` between 1 and 1000",
            where=path,
            remedy=f"add {names[0]}, the motion's frames a second",
        )
    return float(value.reshape(()))


def _check_size(path: Path, size: int | None) -> None:
    if size is None:
        raise EgoReactError("no such file", where=path, remedy="check the path")
    if size == 0:
        raise EgoReactError("is empty", where=path, remedy="copy the file again")
    if size > MAX_BYTES:
        raise EgoReactError(
            f"holds {size / 2**30:.1f} GiB of arrays", where=path, remedy=f"cut it to {MAX_BYTES >> 30} GiB a file"
        )
