"""The shards of any data revision, from DVC's own lists: of the cache where it has them, else of the remote."""

import json
from pathlib import Path
from typing import Any

from components.version_dataset.dvc_data import opened
from egoreact.errors import EgoReactError
from egoreact.hrd.shards import MANIFEST

MANIFEST_NAME = f"hrd/{MANIFEST}"


def shards_of_revision(data_folder: Path, revision: str) -> list[dict[str, Any]]:
    """A row a shard: `name` in the data folder, `md5` (DVC's), `sha256`, `split`, `clips` and `sources` of the manifest.

    Nothing is checked out, and the data folder is not touched.

    Raises:
        EgoReactError: neither cache nor remote has the revision's list, or the remote is away.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException

    with opened(data_folder.absolute()) as (repo, remote):
        try:
            files = {entry["relpath"]: entry["md5"] for entry in json.loads(_content(repo, revision))}
            manifest = _content(repo, files[MANIFEST_NAME]) if MANIFEST_NAME in files else None
        except (OSError, ValueError, KeyError, TypeError, DvcException, BotoCoreError, ClientError) as error:
            raise EgoReactError(
                f"the list of data revision {revision} cannot be read ({type(error).__name__}: {error})",
                where=remote,
                remedy="check EGOREACT_DVC_REMOTE and the credentials",
            ) from error
    of_clips = _clips(manifest) if manifest is not None else {}
    return [
        {"name": name, "md5": md5, **of_clips.get(Path(name).name, {})}
        for name, md5 in sorted(files.items())
        if name.endswith(".tar")
    ]


def _content(repo: Any, oid: str) -> bytes:
    """An object of DVC's, from the cache, else from the remote."""
    odb = repo.cache.local
    if not odb.exists(oid):
        odb = repo.cloud.get_remote_odb()
    with odb.fs.open(odb.oid_to_path(oid), "rb") as file:
        return file.read()


def _clips(manifest: bytes) -> dict[str, dict[str, Any]]:
    import io

    import pandas as pd

    rows = pd.read_parquet(io.BytesIO(manifest))
    return {
        str(shard): {
            "sha256": str(of["shard_sha256"].iloc[0]),
            "split": str(of["split"].iloc[0]),
            "clips": len(of),
            "sources": sorted(map(str, of["source"].unique())),
        }
        for shard, of in rows.groupby("shard")
    }
