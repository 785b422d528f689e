"""Shards on their way into a data set: fetched and verified in the workspace, examined together with what is there, moved in.

What was fetched stays in the workspace until it is in, so that a step that was killed goes on. Nothing of the data set
changes before everything new is sound; then come the shards, the note of where they are from, and the manifest, last of all.
A killed process's shards that no manifest names are taken away by the next one.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from components.ingest_shards.source import Found, Source
from components.ingest_shards.verify import Verified, verify
from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, sha256_json, write_json
from egoreact.hrd.clip import SPLITS
from egoreact.hrd.digests import remember
from egoreact.hrd.shards import MANIFEST, disk_errors_named, write_manifest
from egoreact.hrd.standing import manifest_rows
from egoreact.progress import Progress

ORIGINS = "origins.json"
"""Beside the manifest: shard → the address it came from."""
SEEN, PLAN = "seen.json", "moving.json"

Examine = Callable[[Path], None]
"""A folder that holds the data set as it would be → raises where that is not fit."""


@dataclass
class Taken:
    """What became of the shards at the source."""

    shards: list[str] = field(default_factory=list)
    """Names in the data set of those that came in."""
    clips: int = 0
    known: int = 0
    """Of those at the source that the data set held already."""
    refused: list[str] = field(default_factory=list)
    """A line each."""


@dataclass(frozen=True)
class _Staged:
    found: Found
    path: Path
    verified: Verified


@dataclass(frozen=True)
class Intake:
    """Args:
    hrd: folder with shards and manifest.
    place: folder in the workspace for what is on its way.
    """

    hrd: Path
    place: Path

    def unknown(self, shards: Iterable[Found]) -> list[Found]:
        """Of the shards at a source those that are not known, by their marks, to be in the data set."""
        held, seen = set(manifest_rows(self.hrd).get("shard_sha256", [])), self._seen()
        return [found for found in shards if seen.get(found.url, [None, None])[0] != found.mark
                or seen[found.url][1] not in held]  # fmt: skip

    def take(self, source: Source, shards: Iterable[Found], examine: Examine, tell: Callable[[str], None]) -> Taken:
        """Brings in what is new and sound of these shards. The caller keeps other processes from the data set meanwhile.

        Raises:
            EgoReactError: all that is new is refused, `examine` refuses, or the source is away; the data set is as it was.
        """
        self._undo_half_a_move()
        before = manifest_rows(self.hrd)
        taken = Taken()
        staged = self._stage(source, list(shards), before, taken, tell)
        if taken.refused and not staged:
            more = f" (and {len(taken.refused) - 1} more)" if len(taken.refused) > 1 else ""
            raise EgoReactError(
                f"{taken.refused[0]}{more}", where=source.url, remedy="mend or delete it there; nothing was taken"
            )
        if staged:
            self._move_in(self._named(staged, before), before, examine, taken)
        self._remember({each.found: each.verified.sha256 for each in staged})
        for each in staged:
            each.path.unlink(missing_ok=True)
        return taken

    def _stage(
        self, source: Source, shards: list[Found], before: pd.DataFrame, taken: Taken, tell: Callable[[str], None]
    ) -> list[_Staged]:
        held = set(before.get("shard_sha256", []))
        clips = dict(zip(before.get("clip_id", []), before["shard"], strict=True))
        staged: list[_Staged] = []
        progress = Progress("reading new shards", len(shards), "shards")
        for found in shards:
            path = self._fetched(source, found)
            sha256 = sha256_file(path)
            if sha256 in held:
                taken.known += 1
                self._remember({found: sha256})
                path.unlink()
            else:
                try:
                    staged.append(_Staged(found, path, verify(path, clips)))
                    held.add(sha256)
                    clips |= {row["clip_id"]: found.url for row in staged[-1].verified.rows}
                except EgoReactError as error:
                    taken.refused.append(_refusal(found, path, error))
                    tell(taken.refused[-1])
                    path.unlink()
            progress.advance()
        return staged

    def _fetched(self, source: Source, found: Found) -> Path:
        """In the workspace, where it may be from a step that was killed."""
        path = self.place / f"{sha256_json([found.url, found.mark])[:24]}.tar"
        if not path.is_file():
            source.fetch(found, path)
        return path

    def _named(self, staged: list[_Staged], before: pd.DataFrame) -> dict[str, _Staged]:
        """Numbers only grow, so a shard is never written twice."""
        named: dict[str, _Staged] = {}
        for split in SPLITS:
            names = {*before["shard"], *(path.name for path in self.hrd.glob("*.tar"))}
            numbers = [name[len(split) + 1 : -4] for name in names if name.startswith(f"{split}-")]
            first = max((int(number) for number in numbers if number.isdigit()), default=-1) + 1
            of_split = [each for each in staged if each.verified.split == split]
            named |= {f"{split}-{number:05d}.tar": each for number, each in enumerate(of_split, first)}
        return named

    def _move_in(self, named: dict[str, _Staged], before: pd.DataFrame, examine: Examine, taken: Taken) -> None:
        rows = before.to_dict("records")
        for name, each in named.items():
            rows += [row | {"shard": name, "shard_sha256": each.verified.sha256} for row in each.verified.rows]
        view = self.place / "as-it-would-be"
        shutil.rmtree(view, ignore_errors=True)
        view.mkdir(parents=True)
        try:
            for name in set(before["shard"]):
                (view / name).symlink_to(self.hrd / name)
            for name, each in named.items():
                (view / name).symlink_to(each.path)
            write_manifest(view, rows)
            examine(view)
            with disk_errors_named(self.hrd):
                self._move(named, view / MANIFEST)
        finally:
            shutil.rmtree(view)
        taken.shards, taken.clips = list(named), sum(len(each.verified.rows) for each in named.values())

    def _move(self, named: dict[str, _Staged], manifest: Path) -> None:
        self.hrd.mkdir(parents=True, exist_ok=True)
        write_json(self.place / PLAN, {name: each.verified.sha256 for name, each in named.items()})
        try:
            for name, each in named.items():
                _move_file(each.path, self.hrd / name)
            self._note_origins(self._origins() | {name: each.found.url for name, each in named.items()})
            _move_file(manifest, self.hrd / MANIFEST)
        finally:
            self._undo_half_a_move()
        remember({self.hrd / name: each.verified.sha256 for name, each in named.items()})

    def _undo_half_a_move(self) -> None:
        """Takes away what no manifest names of a move that did not come to its end."""
        plan = self.place / PLAN
        if not plan.is_file():
            return
        held = set(manifest_rows(self.hrd)["shard"])
        astray = {name: sha256 for name, sha256 in json.loads(plan.read_text()).items() if name not in held}
        for name, sha256 in astray.items():
            path = self.hrd / name
            _hidden(path).unlink(missing_ok=True)
            if path.is_file() and sha256_file(path) == sha256:
                path.unlink()
        self._note_origins({name: url for name, url in self._origins().items() if name not in astray})
        plan.unlink()

    def _origins(self) -> dict[str, str]:
        path = self.hrd / ORIGINS
        return json.loads(path.read_text()) if path.is_file() else {}

    def _note_origins(self, origins: dict[str, str]) -> None:
        if not origins:
            (self.hrd / ORIGINS).unlink(missing_ok=True)
        elif origins != self._origins():
            write_json(self.hrd / ORIGINS, origins)

    def _seen(self) -> dict[str, list[str]]:
        try:
            return dict(json.loads((self.place / SEEN).read_text()))
        except (OSError, ValueError, TypeError):
            return {}  # nothing is lost but time

    def _remember(self, digests: dict[Found, str]) -> None:
        if digests:
            entries = {found.url: [found.mark, sha256] for found, sha256 in digests.items()}
            write_json(self.place / SEEN, self._seen() | entries)


def _move_file(path: Path, to: Path) -> None:
    """Whole or not at all, from another disk too."""
    shutil.move(path, _hidden(to))
    _hidden(to).replace(to)


def _hidden(path: Path) -> Path:
    """`.dvcignore` leaves such names out."""
    return path.with_name(f".{path.name}.tmp")


def _refusal(found: Found, path: Path, error: EgoReactError) -> str:
    part = error.where.removeprefix(str(path)).strip("/")
    return f"{found.url} is refused: {f'{part}: ' if part else ''}{error.what}"
