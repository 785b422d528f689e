"""The Dockerfiles: a pinned base, several stages, a numeric user with a name, `python`, nothing copied that is not there."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from infra.check.findings import Finding
from infra.check.manifests import INFRA
from infra.check.sources import ROOT

DOCKER = INFRA / "docker"
_PATCH = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")
_USER = re.compile(r"[1-9]\d*:[1-9]\d*")


def check_images(folder: Path = DOCKER) -> Iterator[Finding]:
    for path in sorted(folder.glob("*.Dockerfile")):
        yield from _file(path)


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and its argument, lines joined and comments left out."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    found = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name.upper(), rest.strip()) for name, _, rest in found]


def _file(path: Path) -> Iterator[Finding]:
    lines = instructions(path.read_text())
    stages: list[str] = []
    bases = []
    for name, rest in lines:
        if name != "FROM":
            continue
        words = rest.split()
        image = re.sub(r"\$\{\w+:\+[^}$]*(\$\{\w+\})?\}", "", words[0])
        bases.append(image)
        if image not in stages and not _PATCH.fullmatch(image.partition("@")[0]):
            yield Finding(
                path.name, f"FROM {image} may be another tomorrow", "name an exact version, best with its digest"
            )
        if image not in stages and "_DIGEST" not in words[0] and "@sha256:" not in words[0]:
            yield Finding(path.name, f"FROM {image} takes no digest", "add an ARG …_DIGEST to its name")
        if len(words) == 3:
            stages.append(words[2])
    if len(bases) < 2:
        yield Finding(path.name, "has one stage", "build in one and copy the result into another")
    final = lines[max(i for i, (name, _) in enumerate(lines) if name == "FROM") :]
    last = [rest for name, rest in final if name == "USER"]
    if not any(name == "ENV" and re.search(r"\bUSER=\w", rest) for name, rest in final):
        yield Finding(
            path.name,
            "its user has no name: getpass.getuser() fails for a number that /etc/passwd does not list",
            "set ENV USER=egoreact",
        )
    if not last or not _USER.fullmatch(last[-1]):
        yield Finding(
            path.name, f"its user is {last[-1] if last else 'root'}", "end with a numeric USER such as 10001:10001"
        )
    if not bases[-1].startswith("python:"):
        yield Finding(
            path.name, f"{bases[-1]} may have no `python`", "end on an image of Python: KubeRay runs `python`"
        )
    for name, rest in lines:
        if name == "COPY" and "--from" not in rest:
            for source in [word for word in rest.split() if not word.startswith("--")][:-1]:
                yield from _source(path, source.rstrip("/"))


def _source(path: Path, source: str) -> Iterator[Finding]:
    if not (ROOT / source).exists():
        yield Finding(path.name, f"copies {source}, which is not there", "correct the path")
    elif not _in_context(source):
        yield Finding(path.name, f"copies {source}, which .dockerignore leaves out", "add it to .dockerignore")


def _in_context(source: str) -> bool:
    """By .dockerignore's rules, the last that fits wins."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().lstrip("!").strip("/")
        if not pattern or line.startswith("#"):
            continue
        folders = ["/".join(source.split("/")[:depth]) for depth in range(1, source.count("/") + 2)]
        if any(fnmatch.fnmatch(folder, pattern) for folder in folders):
            kept = line.startswith("!")
    return kept
