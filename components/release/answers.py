"""Which bundle made a file: the digest that every answer of the service and every recording carries."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.bundle import MANIFEST

MAX_TEXT_BYTES = 256 * 1024 * 1024
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Answer:
    """What a file says of itself. `version` is empty where it does not say."""

    path: str
    kind: str
    digest: str
    version: str = ""
    details: dict[str, Any] | None = None


def read_answer(path: Path) -> Answer:
    """An answer (JSON, NDJSON, npz, GLB), a session's recording, or a bundle's folder or manifest.

    Raises:
        EgoReactError: it cannot be read, or does not say which bundle made it.
    """
    if path.is_dir() or path.name == MANIFEST:
        manifest = path / MANIFEST if path.is_dir() else path
        if not manifest.is_file():
            raise EgoReactError("is no bundle", where=path, remedy=_REMEDY)
        return Answer(str(path), "bundle", sha256_file(manifest))
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"glTF":
            kind, found = "GLB", _of_glb(path)
        elif magic[:2] == b"PK":
            kind, found = "npz", _of_npz(path)
        else:
            kind, found = _of_lines(path)
    except OSError as error:
        raise EgoReactError(f"cannot be read ({error.strerror})", where=path, remedy="check the path") from error
    except (ValueError, KeyError, TypeError, BadZipFile) as error:
        raise EgoReactError(f"is no answer of the service ({error})", where=path, remedy=_REMEDY) from error
    digest = str(found.get("digest", ""))
    if not DIGEST.fullmatch(digest):
        raise EgoReactError("does not say which bundle made it", where=path, remedy=_REMEDY)
    kept: tuple[str, ...] = ("frames", "fps", "seed", "begun_at")
    details: dict[str, Any] = {name: found[name] for name in kept if name in found}
    return Answer(str(path), kind, digest, str(found.get("version", "")), details)


_REMEDY = "give a JSON, NDJSON, npz or GLB answer, a recording (.egorec) or a bundle; a .bvh names none"


def _of_glb(path: Path) -> dict[str, Any]:
    """By the format: 12 bytes of header, then the JSON chunk's length and type, then its text."""
    with path.open("rb") as file:
        head = file.read(20)
        length = int.from_bytes(head[12:16], "little")
        if head[16:20] != b"JSON" or length > MAX_TEXT_BYTES:
            raise ValueError("its first chunk is not JSON")
        return json.loads(file.read(length))["asset"]["extras"]


def _of_npz(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        found = {"digest": arrays["bundle_digest"].item(), "frames": len(arrays["joints"])}
        if "model_version" in arrays:
            found["version"] = arrays["model_version"].item()
        return found


def _of_lines(path: Path) -> tuple[str, dict[str, Any]]:
    """Of NDJSON and a recording the first line says it; a JSON answer is one value, on one line or several."""
    with path.open("rb") as file:
        first = file.readline(MAX_TEXT_BYTES)
        try:
            head = json.loads(first)
        except ValueError:
            head = json.loads(first + file.read(MAX_TEXT_BYTES))
    if not isinstance(head, dict):
        raise ValueError(f"its JSON is a {type(head).__name__}")
    if "format" in head:
        return "recording", dict(head["hello"]) | {"begun_at": head.get("begun_at", "")}
    return "NDJSON" if head.get("type") == "metadata" else "JSON", head
