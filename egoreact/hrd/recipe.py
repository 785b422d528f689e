"""What the simulated shards are made of: which clips a configuration asks for, and the digest of what decides a shard's bytes.

A split's clips are numbered from 0; a shard holds a run of them. A clip follows from the configuration's seed, its split and
its number alone, so asking for more clips leaves the others as they are.
"""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.files import sha256_json
from egoreact.hrd.clip import SPLITS, Split
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.provenance import code_digest

RECIPE = "recipe.json"
"""Beside the manifest: the configuration, and what each simulated shard was made by."""

DECIDES = (
    "egoreact/hrd/simulate", "egoreact/hrd/clip.py", "egoreact/hrd/shards.py", "egoreact/motion/camera.py",
    "egoreact/motion/mannequin.py", "egoreact/motion/skeleton.py", "egoreact/vision/video.py",
)  # fmt: skip
"""Sources that decide a simulated shard's bytes."""


@dataclass(frozen=True)
class DatasetConfig:
    simulator: SimulatorConfig = field(default_factory=SimulatorConfig)
    train_clips: int = 560
    val_clips: int = 40
    test_clips: int = 120
    clips_per_shard: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_clips", "val_clips", "test_clips", "seed"):
            if getattr(self, name) < 0:
                raise EgoReactError(f"{name} is {getattr(self, name)}", where="DatasetConfig", remedy="use 0 or more")
        if self.clips_per_shard < 1:
            remedy = "use 1 or more"
            raise EgoReactError(f"clips_per_shard is {self.clips_per_shard}", where="DatasetConfig", remedy=remedy)

    def resized(self, *, train: int | None = None, val: int | None = None, test: int | None = None) -> "DatasetConfig":
        """Other numbers of clips, where given."""
        return replace(
            self,
            train_clips=self.train_clips if train is None else train,
            val_clips=self.val_clips if val is None else val,
            test_clips=self.test_clips if test is None else test,
        )

    @property
    def clips(self) -> dict[Split, int]:
        return dict(zip(SPLITS, (self.train_clips, self.val_clips, self.test_clips), strict=True))


@dataclass(frozen=True)
class ClipPlan:
    clip_id: str
    category: str
    seed: int
    split: Split


@dataclass(frozen=True)
class ShardPlan:
    """A shard that is made or to be made."""

    name: str
    first_clip: int
    clips: tuple[ClipPlan, ...]
    made_by: str
    """Digest of everything that decides its bytes."""

    @property
    def split(self) -> Split:
        return self.clips[0].split


@dataclass(frozen=True)
class ShardRecord:
    """What `recipe.json` says of a shard."""

    split: Split
    first_clip: int
    clips: int
    made_by: str
    sha256: str


def plan_clips(config: DatasetConfig) -> dict[Split, list[ClipPlan]]:
    """The clips of each split. Categories take turns, so each split and shard is balanced."""
    return {
        split: [_plan_clip(config, split, index) for index in range(clips)] for split, clips in config.clips.items()
    }


def _plan_clip(config: DatasetConfig, split: Split, index: int) -> ClipPlan:
    categories = config.simulator.categories
    seed = int(np.random.SeedSequence((config.seed, SPLITS.index(split), index)).generate_state(1)[0])
    return ClipPlan(f"sim-{split}-{index:05d}", categories[index % len(categories)], seed, split)


def made_by(simulator: SimulatorConfig, clips: list[ClipPlan] | tuple[ClipPlan, ...]) -> str:
    """Digest of what decides the bytes of these clips: themselves, how they are rendered, and the code that does it."""
    # Which categories take turns is in the clips already.
    rendered = {name: value for name, value in asdict(simulator).items() if name != "categories"}
    return sha256_json(
        {"simulator": rendered, "code": code_digest(*DECIDES), "clips": [[*asdict(clip).values()] for clip in clips]}
    )
