"""SHA-256 of large files, remembered in the workspace: a file is read again only after it changed.

Changed means, as for git and DVC: another size or another time of change. What trains on a shard verifies its bytes in any
case; this spares the steps before it reading gigabytes to learn that nothing happened.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from egoreact.files import sha256_file, write_json
from egoreact.workspace import Workspace

FILE = "digests.json"
"""In the workspace: path → size, time of change (ns), SHA-256."""


def digests_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Of the files that are there; files that are not are left out."""
    known = _read()
    found: dict[Path, str] = {}
    for path in map(Path.absolute, paths):
        if not path.is_file():
            continue
        mark = _mark(path)
        entry = known.get(str(path))
        found[path] = str(entry[2]) if entry and list(entry[:2]) == mark else sha256_file(path)
    remember(found)
    return found


def remember(digests: Mapping[Path, str]) -> None:
    """Takes note of files just written or read. Those that are gone are forgotten."""
    before = _read()
    entries = {str(path.absolute()): [*_mark(path), digest] for path, digest in digests.items()}
    after = {name: entry for name, entry in (before | entries).items() if Path(name).is_file()}
    if after != before:
        write_json(_file(), after)


def _mark(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _file() -> Path:
    return Workspace.from_environment().root / FILE


def _read() -> dict[str, list]:
    try:
        return dict(json.loads(_file().read_text()))
    except (OSError, ValueError, TypeError):
        return {}  # nothing is lost but time
