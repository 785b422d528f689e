"""What made a thing: digest of the code, commit, library versions, machine."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from egoreact.files import sha256_bytes

RECORDED_PACKAGES = (
    "egoreact",
    "torch",
    "transformers",
    "vector-quantize-pytorch",
    "numpy",
    "ray",
    "mlflow",
    "embreex",
    "numba",
)


@cache
def code_digest(*sources: str) -> str:
    """Hex SHA-256 over the Python files named, or in the folders named, from the project's root.

    By default those of egoreact and components.

    Caches keyed by it notice a change of code that an image's tag or a pipeline's text does not show.
    """
    root = Path(__file__).parent.parent
    listing = []
    for source in sources or ("egoreact", "components"):
        path = root / source
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        listing += [f"{path.relative_to(root)} {sha256_bytes(path.read_bytes())}" for path in files]
    return sha256_bytes("\n".join(listing).encode())


def git_commit() -> str:
    """The commit of the code, `<hash>-dirty` with uncommitted changes, or `EGOREACT_COMMIT`, or `unknown`."""
    if "EGOREACT_COMMIT" in os.environ:  # images hold no .git
        return os.environ["EGOREACT_COMMIT"]
    root = Path(__file__).parent.parent
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def library_versions() -> dict[str, str]:
    """Python, platform, and the installed versions of the packages that a result depends on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
