"""One Bento a bundle and code: the service, its page and the released bundle, ready for `bentoml containerize`.

The Bento holds a workspace of its own with just this release, so that the service inside reads it as it does outside.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from packaging.requirements import Requirement

import egoreact
from egoreact.errors import EgoReactError
from egoreact.models.release import Release, write_release
from egoreact.provenance import code_digest
from egoreact.workspace import Workspace

NAME = "egoreact"
SERVICE = "serving.service:ReactionService"
WORKSPACE = ".egoreact"
"""The workspace inside: the default one of the folder that BentoML serves from."""
PROJECT = Path(egoreact.__file__).parent.parent


def bento_tag(digest: str) -> str:
    """`egoreact:<bundle>-<code>`: the same bundle and code give the same tag."""
    return f"{NAME}:{digest[:12]}-{code_digest('egoreact', 'serving')[:8]}"


def ensure_bento(workspace: Workspace, release: Release) -> bool:
    """Builds the Bento that the release names into the workspace's store. Returns False where it is there already.

    Raises:
        EgoReactError: the build failed.
    """
    name, version = release.bento.split(":")
    store = workspace.root / "bentoml"
    if (store / "bentos" / name / version / "bento.yaml").is_file():
        return False
    with TemporaryDirectory(prefix="egoreact-bento-") as folder:
        context = Path(folder)
        _stage(context, workspace, release)
        # A process of its own: BentoML imports the service from the context, and reads its home when it is imported.
        settings = os.environ | {"BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "true", "PYTHONPATH": str(context)}
        command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag", str(context)]
        built = subprocess.run(command, cwd=context, env=settings, capture_output=True, text=True)
    if built.returncode:
        last = (built.stderr.strip() or built.stdout.strip() or "it said nothing").splitlines()[-1]
        print(built.stdout, built.stderr, flush=True)
        raise EgoReactError(f"BentoML could not build it ({last})", where=release.bento, remedy="see the output above")
    return True


def _stage(context: Path, workspace: Workspace, release: Release) -> None:
    without = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules", "src", "*.json", "test*", ".*")
    shutil.copytree(PROJECT / "egoreact", context / "egoreact", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copytree(PROJECT / "serving", context / "serving", ignore=without)
    if (PROJECT / "serving" / "web" / "dist").is_dir():
        shutil.copytree(PROJECT / "serving" / "web" / "dist", context / "serving" / "web" / "dist", dirs_exist_ok=True)
    inside = Workspace(context / WORKSPACE)
    folder = Path(release.bundle).parts[0]
    shutil.copytree(workspace.releases / folder, inside.releases / folder)
    write_release(inside, release)
    build = {
        "service": SERVICE,
        "name": NAME,
        "labels": {"model_version": release.version, "bundle": release.digest[:63]},
        "include": ["egoreact/", "serving/", f"{WORKSPACE}/"],
        "python": {"packages": _packages(), "lock_packages": False},
        "docker": {"python_version": "3.11"},
    }
    (context / "bentofile.yaml").write_text(yaml.safe_dump(build, sort_keys=False))


def _packages() -> list[str]:
    """What the project and its service need, in the versions installed here: the bundle was evaluated with them."""
    needed = [Requirement(line) for line in requires("egoreact") or []]
    wanted = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": "serving"})]
    # Without the local part of a version: 2.13.0+cpu names a wheel of one index.
    return [f"{need.name}{_extras(need)}=={installed(need.name).partition('+')[0]}" for need in wanted]


def _extras(need: Requirement) -> str:
    return f"[{','.join(sorted(need.extras))}]" if need.extras else ""
