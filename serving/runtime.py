"""What one worker serves: the loaded bundle, who let it go, and the threads that inference runs in.

The bundle is the folder that `EGOREACT_BUNDLE` names, or else the one that the last release names in the workspace.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.release import Release, read_release
from egoreact.motion.skeleton import JOINTS, PARENTS
from egoreact.workspace import Workspace
from serving.admission import Admission, Limits, gauges
from serving.protocol import FPS, FRAMES_PER_TOKEN, PROTOCOL

if TYPE_CHECKING:
    from egoreact.models.bundle import Bundle

MANIFEST = "bundle.json"
UNRELEASED = "unreleased"


@dataclass(frozen=True)
class Served:
    """Which bundle, before a weight is read."""

    folder: Path
    version: str
    digest: str
    release: Release | None
    samples: Path

    @staticmethod
    def find(workspace: Workspace | None = None) -> "Served":
        """Raises:
        EgoReactError: nothing is released yet, or no bundle lies where the release or `EGOREACT_BUNDLE` says.
        """
        workspace = workspace or Workspace.from_environment()
        named = os.environ.get("EGOREACT_BUNDLE")
        release = None if named else read_release(workspace)
        folder = Path(named or ".").absolute() if release is None else workspace.releases / release.bundle
        manifest = folder / MANIFEST
        if not manifest.is_file():
            remedy = "name a bundle's folder, or unset it" if named else "release again with: make run"
            raise EgoReactError("no bundle here", where=f"EGOREACT_BUNDLE={named}" if named else folder, remedy=remedy)
        digest = sha256_file(manifest)
        if release is not None and release.digest != digest:
            raise EgoReactError(
                f"its digest is {digest[:12]}, the release names {release.digest[:12]}",
                where=manifest, remedy="release again with: make run",
            )  # fmt: skip
        samples = Path(os.environ.get("EGOREACT_SAMPLES") or folder.parent / "samples")
        return Served(folder, release.version if release else UNRELEASED, digest, release, samples)


@dataclass
class Runtime:
    """Live sessions share one thread, so that their tokens take turns; uploads have their own, a thread a slot."""

    bundle: "Bundle"
    served: Served
    limits: Limits
    admission: Admission = field(init=False)
    live_thread: ThreadPoolExecutor = field(init=False)
    upload_threads: ThreadPoolExecutor = field(init=False)
    version: str = field(init=False)
    digest: str = field(init=False)
    stopping: bool = False
    """Set once the worker shuts down: uploads under way give up at their next frame."""

    def __post_init__(self) -> None:
        self.version, self.digest = self.served.version, self.served.digest
        self.admission = Admission(self.limits)
        self.live_thread = ThreadPoolExecutor(1, "live")
        self.upload_threads = ThreadPoolExecutor(self.limits.max_uploads, "upload")

    @staticmethod
    def load(served: Served, limits: Limits) -> "Runtime":
        """Loads and verifies the bundle, and runs it once: the first token of a process is far slower than the next.

        Raises:
            EgoReactError: a file of the bundle is missing, changed or does not fit.
        """
        import numpy as np

        from egoreact.models.bundle import Bundle

        bundle = Bundle.load(served.folder)
        if bundle.digest != served.digest:
            raise EgoReactError("changed while it was loaded", where=served.folder / MANIFEST, remedy="start again")
        runtime = Runtime(bundle, served, limits)
        advance = runtime.open_session(0)
        side = bundle.config.encoder.image_size_px
        for _ in range(3):
            runtime.live_thread.submit(advance, np.zeros((side, side, 3), np.uint8)).result()
        gauges().model.labels(version=runtime.version, digest=runtime.digest).set(1)
        return runtime

    def open_session(self, seed: int) -> Callable[[Any], Any]:
        """A live session: one call a token, with the frame it perceives, gives its `MotionChunk`."""
        from egoreact.streaming.session import ReactionEngine

        session = ReactionEngine(self.bundle, seed=seed).open()

        def advance(rgb: Any) -> Any:
            chunk = session.push(rgb)
            for _ in range(FRAMES_PER_TOKEN - 1):
                session.push(rgb)  # the ticks between boundaries only count
            return chunk

        return advance

    def stamp(self) -> dict[str, str]:
        """What every answer carries."""
        return {"version": self.version, "digest": self.digest}

    def hello(self) -> dict[str, Any]:
        """What a client must know before its first frame."""
        return self.stamp() | {
            "protocol": PROTOCOL,
            "fps": FPS,
            "frames_per_token": FRAMES_PER_TOKEN,
            "joints": list(JOINTS),
            "parents": list(PARENTS),
            "limits": self.limits.public(),
        }

    def model(self) -> dict[str, Any]:
        """`hello`, and where the model comes from: with these one walks back to its run and its shards."""
        manifest, release = self.bundle.manifest, self.served.release
        origin = {name: getattr(manifest, name) for name in ("data_revision", "commit", "mlflow_run", "seed")}
        released = {} if release is None else {k: v for k, v in asdict(release).items() if k != "bundle"}
        image_side_px = self.bundle.config.encoder.image_size_px
        return self.hello() | {"image_side_px": image_side_px, "origin": origin, "release": released}

    def close(self) -> None:
        self.stopping = True
        self.live_thread.shutdown(wait=False, cancel_futures=True)
        self.upload_threads.shutdown(wait=False, cancel_futures=True)
