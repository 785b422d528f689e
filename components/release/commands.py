"""The command that walks back from what was served."""

from collections.abc import Callable


def lineage(what: str, /, *, json: bool = False) -> None:
    """Walk from a served answer back to its bundle, version, run, data revision, commit and shards.

    Args:
        what: an answer's file (JSON, NDJSON, npz, GLB), a recording, a bundle's folder, a version or alias, or a digest.
        json: as one JSON object, all shards in it.
    """
    from json import dumps

    from rich.console import Console

    from components.release.lineage import lineage as walk_back
    from components.release.lineage_tree import tree
    from egoreact.hrd.dataset import data_folder
    from egoreact.workspace import Workspace

    walk = walk_back(what, Workspace.from_environment(), data_folder())
    if json:
        print(dumps(walk, indent=2, ensure_ascii=False))
    else:
        console = Console()
        console.print(tree(walk), width=console.width if console.is_terminal else WIDTH, crop=False)


WIDTH = 200
"""Columns where no terminal says how many it has: paths stay whole."""

COMMANDS: dict[str, Callable[..., None]] = {"lineage": lineage}
