"""Where new shards are dropped: a folder, or a prefix of a bucket, read through fsspec alike.

Every `*.tar` below it is a shard, whatever its name and folder. Credentials and the address of an S3 server other than
Amazon's come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.shards import disk_errors_named

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PROTOCOLS = ("file", "s3")
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60


@dataclass(frozen=True)
class Found:
    """A shard at the source."""

    url: str
    mark: str
    """Differs where the content does: size and ETag, or size and time of change."""
    size_bytes: int


@dataclass(frozen=True)
class Source:
    """Raises EgoReactError from every method where the source is away or may not be read."""

    url: str
    files: "AbstractFileSystem"
    path: str

    def shards(self) -> list[Found]:
        """Everything below the source that ends in .tar, by name; empty files too."""
        with _errors(self.url):
            if "file" in self.files.protocol and not self.files.isdir(self.path):
                raise FileNotFoundError("no such folder")
            listing = self.files.find(self.path, detail=True)
        return [self._found(name, listing[name]) for name in sorted(listing) if _is_shard(name)]

    def fetch(self, found: Found, to: Path) -> None:
        """Writes the shard to `to`, whole or not at all.

        Raises:
            EgoReactError: it was changed meanwhile, or the disk is full.
        """
        with disk_errors_named(to), whole_file(to) as beside:
            name = self.files._strip_protocol(found.url)
            with _errors(found.url):
                self.files.get_file(name, str(beside))
                self.files.invalidate_cache()
                after = self._found(name, self.files.info(name))
            if after.mark != found.mark or beside.stat().st_size != found.size_bytes:
                raise EgoReactError("was changed while it was read", where=found.url, remedy="run again")

    def _found(self, name: str, info: dict) -> Found:
        mark = f"{info['size']} {info.get('ETag') or info.get('mtime')}"
        return Found(self.files.unstrip_protocol(name), mark, int(info["size"]))


def open_source(url: str) -> Source:
    """Args:
        url: a folder's path, `file:///folder`, or `s3://bucket/prefix`.

    Raises:
        EgoReactError: it is none of these.
    """
    from fsspec.core import url_to_fs
    from fsspec.utils import get_protocol

    protocol = get_protocol(url)
    if not url.strip() or protocol not in PROTOCOLS:
        raise EgoReactError(
            f"is {url!r}", where="source", remedy="give a folder, file:///folder, or s3://bucket/prefix"
        )
    settings: dict = {}
    if protocol == "s3":
        settings = {"config_kwargs": {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": READ_TIMEOUT_S}}
    with _errors(url):
        files, path = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False, **settings)
    return Source(url, files, path)


def _is_shard(name: str) -> bool:
    return name.endswith(".tar") and not name.rpartition("/")[2].startswith(".")


@contextlib.contextmanager
def _errors(where: str) -> Iterator[None]:
    """Of a folder, of S3, and of what lies between: one line."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise EgoReactError(
            f"the source cannot be read ({reason})",
            where=where,
            remedy="check its address, AWS_ENDPOINT_URL and credentials; nothing was changed",
        ) from error
