"""What one worker serves: the loaded bundle, who let it go, and the threads that inference runs in.

The bundle is the folder that `EGOREACT_BUNDLE` names, or else the one that the release names in the workspace: the one that
`EGOREACT_RELEASE_DIGEST` says, where it is set, and no other; else the current one.
"""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.release import DIGEST_VARIABLE, Release, served_release
from egoreact.motion.skeleton import JOINTS, PARENTS
from egoreact.workspace import Workspace
from serving.access import Access
from serving.admission import Admission, Limits, decode_image
from serving.metrics import gauges
from serving.protocol import FPS, FRAMES_PER_TOKEN, PROTOCOL
from serving.recording import Recorder
from serving.scheduler import Scheduler, one_torch_thread
from serving.sessions import Sessions

if TYPE_CHECKING:
    from egoreact.models.bundle import Bundle

MANIFEST = "bundle.json"
UNRELEASED = "unreleased"
SLOW_STEP_S = 1.0
UPLOADS_NICE = 10


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
        EgoReactError: nothing is released yet, no bundle lies where the release or `EGOREACT_BUNDLE` says, or it is
            another than `EGOREACT_RELEASE_DIGEST` asks for.
        """
        workspace = workspace or Workspace.from_environment()
        named = os.environ.get("EGOREACT_BUNDLE")
        release = None if named else served_release(workspace)
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
        asked_for = os.environ.get(DIGEST_VARIABLE)
        if asked_for and asked_for != digest:
            remedy = f"name the bundle of that release, or unset {DIGEST_VARIABLE}"
            raise EgoReactError(
                f"its digest is {digest[:12]}, {asked_for[:12]} is asked for", where=manifest, remedy=remedy
            )
        samples = Path(os.environ.get("EGOREACT_SAMPLES") or folder.parent / "samples")
        return Served(folder, release.version if release else UNRELEASED, digest, release, samples)


@dataclass
class Runtime:
    """All live sessions share one inference thread, where they step together; each upload has a thread of its own.

    Torch threads, within an operation: the live one as many as torch finds cores or `OMP_NUM_THREADS` says, for its steps
    are what people wait for; decoding and upload threads one each. Uploads are also ten steps nicer to the system's own
    scheduler, so they get what live sessions leave.
    """

    bundle: "Bundle"
    served: Served
    limits: Limits
    access: Access = field(default_factory=Access)
    recorder: Recorder = field(default_factory=Recorder)
    admission: Admission = field(init=False)
    live_thread: ThreadPoolExecutor = field(init=False)
    upload_threads: ThreadPoolExecutor = field(init=False)
    scheduler: Scheduler = field(init=False)
    sessions: Sessions = field(init=False)
    version: str = field(init=False)
    digest: str = field(init=False)
    stopping: bool = False
    """Set once the worker shuts down: uploads under way give up at their next frame."""

    def __post_init__(self) -> None:
        from egoreact.streaming.live_slots import LiveSlots

        limits = self.limits
        self.version, self.digest = self.served.version, self.served.digest
        self.admission = Admission(limits)
        self.live_thread = ThreadPoolExecutor(1, "live")
        self.upload_threads = ThreadPoolExecutor(limits.max_uploads, "upload", _step_back)
        slots = LiveSlots(self.bundle, limits.max_sessions)
        decode = partial(decode_image, max_side_px=limits.max_image_side_px)
        self.scheduler = Scheduler(slots, self.live_thread, decode, largest_batch=limits.max_batch)
        self.sessions = Sessions(self.scheduler, self.admission, self.access, limits)

    @staticmethod
    def load(
        served: Served, limits: Limits, access: Access | None = None, recorder: Recorder | None = None
    ) -> "Runtime":
        """Loads and verifies the bundle, and runs it: the first step of each size is far slower than the next.

        Raises:
            EgoReactError: a file of the bundle is missing, changed or does not fit.
        """
        import torch

        from egoreact.models.bundle import Bundle

        bundle = Bundle.load(served.folder).to("cuda" if torch.cuda.is_available() else "cpu")
        if bundle.digest != served.digest:
            raise EgoReactError("changed while it was loaded", where=served.folder / MANIFEST, remedy="start again")
        runtime = Runtime(bundle, served, limits, access or Access(), recorder or Recorder())
        runtime.live_thread.submit(runtime._warm_up).result()
        gauges().model.labels(version=runtime.version, digest=runtime.digest).set(1)
        return runtime

    def _warm_up(self) -> None:
        """Steps of 1, 2, 4, … sessions, as far as they may meet and take no longer than people would wait."""
        import numpy as np

        slots, side = self.scheduler.slots, self.bundle.config.encoder.image_size_px
        picture, largest = np.zeros((side, side, 3), np.uint8), min(self.limits.max_batch, self.limits.max_sessions)
        taken: list[int] = []
        slowest_s = 0.0
        while len(taken) < largest and slowest_s < SLOW_STEP_S:
            taken += [slots.join(0) for _ in range(min(max(1, len(taken)), largest - len(taken)))]
            for _ in range(2):
                started = time.perf_counter()
                slots.step({slot: slots.prepare(slot, picture) for slot in taken})
                slowest_s = time.perf_counter() - started
        for slot in taken:
            slots.leave(slot)

    async def drain(self) -> None:
        """Lets nobody in, and gives what is in progress its time. Then uploads give up at their next frame."""
        self.admission.draining = True
        gauges().draining.set(1)
        until_s = time.monotonic() + self.limits.drain_seconds
        await self.sessions.drain(self.limits.drain_seconds)
        while self.admission.in_progress["upload"] and time.monotonic() < until_s:
            await asyncio.sleep(0.02)
        self.stopping = True

    def stamp(self) -> dict[str, str]:
        """What every answer carries."""
        return {"version": self.version, "digest": self.digest}

    def model(self) -> dict[str, Any]:
        """What is served, and where it comes from: with these one walks back to its run and its shards."""
        manifest, release = self.bundle.manifest, self.served.release
        return self.stamp() | {
            "protocol": PROTOCOL,
            "fps": FPS,
            "frames_per_token": FRAMES_PER_TOKEN,
            "joints": list(JOINTS),
            "parents": list(PARENTS),
            "limits": self.limits.public(),
            "image_side_px": self.bundle.config.encoder.image_size_px,
            "origin": {name: getattr(manifest, name) for name in ("data_revision", "commit", "mlflow_run", "seed")},
            "release": {} if release is None else {k: v for k, v in asdict(release).items() if k != "bundle"},
        }

    def close(self) -> None:
        self.stopping = True
        self.scheduler.close()
        self.live_thread.shutdown(wait=False, cancel_futures=True)
        self.upload_threads.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Of an upload's thread."""
    one_torch_thread()
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), UPLOADS_NICE)
