"""Keeps KFP's local cache honest: an entry is reused only while the files that it names are as they were made.

KFP itself only asks whether an artifact's path exists, so a folder with a file lost or changed would be handed on. And
it never reuses a step with a `Metrics` output, because no file lies at the path of one. Both are put right from
outside: a seal beside each entry lists its files, and metrics get the file that the cache looks for.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from egoreact.files import write_json

FOLDER = ".kfp_cache"
"""KFP's default, inside the pipeline root: artifacts and cache are deleted together."""
SEAL = ".seal"


def check(cache: Path) -> list[Path]:
    """Removes entries whose files were lost or changed since they were sealed, and returns what was found damaged."""
    damaged = []
    for entry in _entries(cache):
        seal = entry.with_suffix(SEAL)
        if not seal.is_file():
            continue
        expected = json.loads(seal.read_text())
        wrong = [Path(uri) for uri, files in expected.items() if _listing(Path(uri)) != files]
        if wrong:
            entry.unlink()
            seal.unlink()
            damaged += wrong
    return damaged


def seal(cache: Path) -> None:
    """Lists the files of every entry that has no seal yet."""
    for entry in _entries(cache):
        mark = entry.with_suffix(SEAL)
        if mark.is_file():
            continue
        files = {}
        for artifact in _artifacts(json.loads(entry.read_text())):
            path = Path(artifact["uri"])
            if artifact["schema_title"] == "system.Metrics" and not path.exists() and path.parent.is_dir():
                write_json(path, artifact["metadata"])
            files[str(path)] = _listing(path)
        write_json(mark, files)


def _entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.json"))


def _artifacts(outputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in outputs.values():
        if isinstance(value, dict) and value.get("__kfp_artifact__"):
            yield value
        elif isinstance(value, dict) and "artifacts" in value:
            yield from value["artifacts"]


def _listing(path: Path) -> dict[str, list[int]]:
    """Relative names to size and time of change, of a file or of everything in a folder."""
    if path.is_file():
        return {".": _mark(path)}
    return {str(file.relative_to(path)): _mark(file) for file in sorted(path.rglob("*")) if file.is_file()}


def _mark(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
