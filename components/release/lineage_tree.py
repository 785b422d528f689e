"""Lineage for people: a tree, each link under the one that it was made from."""

from typing import Any

from rich.text import Text
from rich.tree import Tree

from components.release.lineage import Link

SHOWN_SHARDS = 12
DIGITS = 12
_SHORT = ("digest", "config_digest", "code_digest", "commit", "sha256")
_HIDDEN = ("versions", "metrics", "shards", "details")
_ASIDE = ("version", "release", "commit")
"""What became of the bundle, and what code made it; the walk to the data goes on from where it was."""
_TITLES = {
    "answer": "answer", "bundle": "bundle", "version": "registered version", "release": "release", "run": "MLflow run",
    "data": "data revision", "commit": "commit of the code", "shards": "shards",
}  # fmt: skip


def tree(walk: dict[str, Link], *, all_shards: bool = False) -> Tree:
    """Every link of the walk, a branch each; long digests are cut, and shards beyond a dozen are counted."""
    root: Tree | None = None
    branch: Tree | None = None
    for name, link in walk.items():
        label = _label(_TITLES[name], link)
        if branch is None:
            root = branch = Tree(label)
        elif name in _ASIDE:
            _fill(branch.add(label), link)
            continue
        else:
            branch = branch.add(label)
        _fill(branch, link)
        if name == "shards":
            rows = link.get("shards", [])
            for row in rows if all_shards else rows[:SHOWN_SHARDS]:
                branch.add(_shard(row))
            if len(rows) > SHOWN_SHARDS and not all_shards:
                branch.add(Text(f"… {len(rows) - SHOWN_SHARDS} more; --json gives all", style="dim"))
    assert root is not None
    return root


def _label(title: str, link: Link) -> Text:
    label = Text(title, style="bold")
    head = next(
        (link[name] for name in ("path", "digest", "version", "id", "revision", "commit") if link.get(name)), ""
    )
    if head:
        label.append(f"  {head}", style="cyan")
    return label


def _fill(branch: Tree, link: Link) -> None:
    shown = str(branch.label)
    for name, value in link.items():
        if name == "missing":
            branch.add(Text(str(value), style="yellow"))
        elif name == "details":
            _fill(branch, value)
        elif name not in _HIDDEN and value not in ("", None, []) and f"  {value}" not in shown:
            branch.add(Text.assemble((f"{name.replace('_', ' ')}  ", "dim"), _shown(name, value)))


def _shown(name: str, value: Any) -> str:
    if name in _SHORT:
        return str(value)[:DIGITS]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shard(row: dict[str, Any]) -> Text:
    told = f"{row['split']}, {row['clips']} clips, sha256 {row['sha256'][:DIGITS]}" if "sha256" in row else ""
    return Text.assemble(f"{row['name']}  ", (told or f"md5 {row['md5'][:DIGITS]}", "dim"))
