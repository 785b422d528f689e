"""What a training step and its Ray cluster hand each other: a folder that both reach, on the shared volume or on S3.

The step writes `in/` and then `request.json`; the head of the cluster writes `out/` and then `result.json`, or
`error.json`. Each of the three notes is written last and whole, so what it speaks of is complete where it is there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egoreact.errors import EgoReactError
from egoreact.files import whole_folder, write_json

REQUEST, RESULT, ERROR = "request.json", "result.json", "error.json"


@dataclass(frozen=True)
class Exchange:
    """One job's folder: an absolute path, or an address that pyarrow writes to (s3://…).

    Every method raises an EgoReactError where the storage is away.
    """

    address: str

    def send_request(self, kind: str, parameters: Mapping[str, str], inputs: Mapping[str, Path]) -> None:
        """Folders by name, and the training's text parameters. What an earlier attempt handed back is gone."""
        for name in (REQUEST, RESULT, ERROR, "out", "in"):
            self.remove(name)
        for name, path in inputs.items():
            self._send(path, f"in/{name}")
        self.write_note(REQUEST, {"kind": kind, "parameters": dict(parameters), "inputs": sorted(inputs)})

    def fetch_request(self, folder: Path) -> tuple[str, dict[str, str], dict[str, Path]]:
        """Kind, parameters and inputs, these as copies in `folder`.

        Raises:
            EgoReactError: there is no request.
        """
        note = self.read_note(REQUEST)
        if note is None:
            raise EgoReactError(
                "holds no request", where=self.address, remedy="start the training from its pipeline step"
            )
        inputs = {name: self._fetch(f"in/{name}", folder / name) for name in note["inputs"]}
        return note["kind"], note["parameters"], inputs

    def send_result(self, out: Path) -> None:
        """What the training wrote. A result that is there already, of an attempt that lost its cluster, is replaced."""
        self.remove(RESULT)
        self.remove("out")
        self._send(out, "out")
        self.write_note(RESULT, {"schema_version": 1})

    def fetch_result(self, out: Path) -> bool:
        """Copies the result to `out`, whole or not at all; whether there was one."""
        if self.read_note(RESULT) is None:
            return False
        with whole_folder(out) as beside:
            beside.rmdir()
            self._fetch("out", beside)
        return True

    def read_note(self, name: str) -> dict[str, Any] | None:
        """One of the notes, or None where it is not there."""
        import pyarrow.fs

        filesystem, root = self._root()
        with self._told("read"):
            if filesystem.get_file_info(f"{root}/{name}").type != pyarrow.fs.FileType.File:
                return None
            with filesystem.open_input_stream(f"{root}/{name}") as stream:
                content = stream.read()
        note: dict[str, Any] = json.loads(content)
        return note

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        filesystem, root = self._root()
        if self._is_folder:
            with self._told("write to"):
                write_json(Path(root) / name, dict(note))
            return
        with self._told("write to"), filesystem.open_output_stream(f"{root}/{name}") as stream:
            stream.write(json.dumps(note, indent=2).encode())

    def remove(self, name: str = "") -> None:
        """A note, `in`, `out`, or all of it."""
        import pyarrow.fs

        filesystem, root = self._root()
        path = f"{root}/{name}".rstrip("/")
        with self._told("write to"):
            kind = filesystem.get_file_info(path).type
            if kind == pyarrow.fs.FileType.Directory:
                filesystem.delete_dir(path)
            elif kind == pyarrow.fs.FileType.File:
                filesystem.delete_file(path)

    def _send(self, path: Path, name: str) -> None:
        filesystem, root = self._root()
        with self._told("write to"):
            filesystem.create_dir(f"{root}/{name}", recursive=True)
            _copy(str(path.absolute()), f"{root}/{name}", to=filesystem)

    def _fetch(self, name: str, path: Path) -> Path:
        filesystem, root = self._root()
        path.mkdir(parents=True)
        with self._told("read"):
            _copy(f"{root}/{name}", str(path.absolute()), source=filesystem)
        return path

    @property
    def _is_folder(self) -> bool:
        return "://" not in self.address

    def _root(self) -> tuple[Any, str]:
        import pyarrow.fs

        if self._is_folder:
            return pyarrow.fs.LocalFileSystem(), self.address
        with self._told("reach"):
            filesystem, path = pyarrow.fs.FileSystem.from_uri(self.address)
        return filesystem, path

    def _told(self, verb: str) -> "_Told":
        return _Told(self.address, verb)


@dataclass
class _Told:
    """Turns what storages raise into one line."""

    address: str
    verb: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import pyarrow

        if isinstance(error, (OSError, pyarrow.ArrowException)):
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise EgoReactError(
                f"cannot {self.verb} the storage that step and Ray cluster share ({first[:300]})",
                where=self.address,
                remedy="check the volume, or AWS_ENDPOINT_URL, the keys in the Secret egoreact, and the bucket",
            ) from error


def _copy(source_path: str, target_path: str, *, source: Any = None, to: Any = None) -> None:
    import pyarrow.fs

    local = pyarrow.fs.LocalFileSystem()
    pyarrow.fs.copy_files(
        source_path, target_path, source_filesystem=source or local, destination_filesystem=to or local
    )
