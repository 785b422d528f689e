"""Live streams that join and leave, and step in any company: features of frame 4t in, motion frames 4t … 4t + 3 out.

All that a stream remembers is here, one row a stream in tensors of fixed size: the transformer's ring of keys and
values, the tokenizer's and the motion decoder's state, the last token, and V_{t−1}, the head's displacement in the
motion that was decoded for the frames before. What a stream does depends on its seed and on what it sees, never on who
else is there. Random numbers are drawn on the host, so they are the same whatever the device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import GPTInputs, pick_tokens
from egoreact.models.ring_cache import Rows
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.representation import FEATURE_DIM, DecoderState, decode_from
from egoreact.motion.skeleton import HEAD, NUM_JOINTS
from egoreact.streaming.graphs import Graphed
from egoreact.vision.frame_features import FrameFeatures

ALL = slice(None)
"""Rows: every one, read where it lies."""


@dataclass(frozen=True)
class MotionStep:
    """On the host."""

    tokens: Int[Tensor, "batch"]
    features: Float[Tensor, "batch 4 263"]
    joints_m: Float[Tensor, "batch 4 22 3"]
    head_velocity_m: Float[Tensor, "batch 3"]
    """The V_{t−1} that the tokens were drawn with."""

    @staticmethod
    def unpack(packed: Float[Tensor, "batch 1320"]) -> "MotionStep":
        """From what `StreamRows.pose` gives, brought to the host in one copy: the one synchronisation a token."""
        sizes = (1, FRAMES_PER_TOKEN * FEATURE_DIM, FRAMES_PER_TOKEN * NUM_JOINTS * 3, 3)
        tokens, features, joints_m, head_velocity_m = packed.cpu().split(sizes, dim=1)
        return MotionStep(
            tokens[:, 0].long(),
            features.unflatten(1, (FRAMES_PER_TOKEN, FEATURE_DIM)),
            joints_m.unflatten(1, (FRAMES_PER_TOKEN, NUM_JOINTS, 3)),
            head_velocity_m,
        )

    def __getitem__(self, rows: slice) -> "MotionStep":
        return MotionStep(*(value[rows] for value in vars(self).values()))


class StreamRows:
    """The streams' memory and one step of any rows of it. Tensors alone: fixed shapes, in place, nothing asks the host."""

    def __init__(self, bundle: Bundle, count: int, *, temperature: float | None = None):
        config = bundle.config.gpt
        self.bundle, self.count, self.guidance = bundle, count, config.guidance
        self.temperature = config.temperature if temperature is None else temperature
        self.top_fraction = config.top_fraction
        self.device, self.dtype = bundle.gpt.unseen.device, bundle.gpt.unseen.dtype
        self.guided = self.guidance != 1
        self.ring = bundle.gpt.new_ring(2 * count if self.guided else count)
        self.tokens = torch.empty(count, dtype=torch.long, device=self.device)
        self.head_velocity_m = torch.empty(count, 3, device=self.device)
        self.heading = DecoderState.initial((count,), self.device)
        state = bundle.tokenizer.decoder_state(1)
        self._shapes = [tensor.shape[1:] for tensor in state]
        self.decoder = torch.empty(count, sum(tensor.numel() for tensor in state), device=self.device)
        """The tokenizer's state, flat."""
        self.mean, self.std = (bundle.normaliser.tensors()[name].to(self.device) for name in ("mean", "std"))
        self.reset(slice(None))

    @property
    def byte_count(self) -> int:
        own = (self.tokens, self.head_velocity_m, self.heading.half_yaw, self.heading.root_xz_m, self.decoder)
        return sum(tensor.nbytes for tensor in (*own, *self.ring.tensors))

    @torch.inference_mode()
    def reset(self, rows: Rows) -> None:
        """Streams before their first token."""
        self.tokens[rows] = self.bundle.gpt.no_token
        for tensor in (self.head_velocity_m, self.heading.half_yaw, self.heading.root_xz_m, self.decoder):
            tensor[rows] = 0
        for tensor in self.ring.tensors:
            tensor[self._with_twins(rows)] = 0

    def _with_twins(self, rows: Rows) -> Rows:
        """Of the ring: where guidance is on, each stream has a second row, which sees nothing. A slice is of all rows."""
        return torch.cat([rows, rows + self.count]) if self.guided and isinstance(rows, Tensor) else rows

    @torch.inference_mode()
    def choose(self, rows: Rows, seen: FrameFeatures, draws: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
        """Draws token_t from what frame 4t shows, the tokens so far and the decoded motion so far."""
        previous, velocity_m = self.tokens[rows], self.head_velocity_m[rows]
        told = torch.ones_like(previous, dtype=torch.bool)
        if self.guided:  # the second half of the batch sees nothing: classifier-free guidance
            previous, velocity_m = previous.repeat(2), velocity_m.repeat(2, 1)
            told = torch.cat([told, ~told])
        inputs = GPTInputs(
            previous_token=previous[:, None],
            semantic=seen.semantic[:, None].to(self.dtype),
            depth_m=seen.depth_m[:, None].to(self.dtype),
            head_velocity_m=velocity_m[:, None].to(self.dtype),
            seen=told,
        )
        self.ring.place(self._with_twins(rows))
        logits = self.bundle.gpt(inputs, cache=self.ring)[:, -1].float()
        if self.guided:
            seeing, blind = logits.chunk(2)
            logits = blind + self.guidance * (seeing - blind)
        tokens = pick_tokens(logits, draws, temperature=self.temperature, top_fraction=self.top_fraction)
        self.tokens[rows] = tokens
        return tokens

    @torch.inference_mode()
    def decode(self, rows: Rows) -> Float[Tensor, "n 4 263"]:
        """The features of the tokens just drawn."""
        sizes = [shape.numel() for shape in self._shapes]
        parts = self.decoder[rows].split(sizes, dim=1)
        state = [part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        normalised, state = self.bundle.tokenizer.decode_stream(self.tokens[rows][:, None], state)
        self.decoder[rows] = torch.cat([tensor.flatten(1) for tensor in state], dim=1)
        return normalised * self.std + self.mean

    @torch.inference_mode()
    def pose(self, rows: Rows, features: Float[Tensor, "n 4 263"]) -> Float[Tensor, "n 1320"]:
        """The joints of these features; all of the step, for `MotionStep.unpack`."""
        heading = DecoderState(self.heading.half_yaw[rows], self.heading.root_xz_m[rows])
        joints_m, heading = decode_from(features, heading)
        self.heading.half_yaw[rows], self.heading.root_xz_m[rows] = heading.half_yaw, heading.root_xz_m
        used = self.head_velocity_m[rows].clone()
        self.head_velocity_m[rows] = joints_m[:, -1, HEAD] - joints_m[:, -2, HEAD]
        return torch.cat([self.tokens[rows][:, None].float(), features.flatten(1), joints_m.flatten(1), used], dim=1)

    def choose_from(
        self,
        rows: Int[Tensor, "n"],
        semantic: Float[Tensor, "n semantic_dim"],
        depth_m: Float[Tensor, "n side side"],
        draws: Float[Tensor, "n"],
    ) -> Int[Tensor, "n"]:
        """`choose`, of tensors alone."""
        return self.choose(rows, FrameFeatures(semantic, depth_m), draws)

    def move(self, rows: Int[Tensor, "n"]) -> Float[Tensor, "n 1320"]:
        """`decode` and `pose`."""
        return self.pose(rows, self.decode(rows))


class ReactionSlots:
    """Room for a number of streams. On a GPU a step is two CUDA graphs, captured for 1, 2, 4, … streams at once."""

    def __init__(self, bundle: Bundle, capacity: int, *, temperature: float | None = None):
        self.capacity = capacity
        self.rows = StreamRows(bundle, capacity + 1, temperature=temperature)  # the last one fills up graphs
        self.generators: dict[int, torch.Generator] = {}
        """Of the slots that are taken."""
        self._graphs: dict[int, tuple[Graphed, Graphed]] = {}
        self._chosen: list[int] = []

    def join(self, seed: int) -> int:
        """A slot for a new stream, whose draws depend on its seed alone.

        Raises:
            EgoReactError: all are taken.
        """
        free = next((slot for slot in range(self.capacity) if slot not in self.generators), None)
        if free is None:
            raise EgoReactError(
                f"all {self.capacity} slots are taken", where="slots", remedy="wait until a stream leaves"
            )
        self.rows.reset(torch.tensor([free], device=self.rows.device))
        self.generators[free] = torch.Generator().manual_seed(seed)
        return free

    def leave(self, slot: int) -> None:
        """Frees a slot."""
        self._check([slot])
        del self.generators[slot]

    def choose(self, seen: Mapping[int, FrameFeatures]) -> None:
        """Draws the next token of some streams, given what the frame 4t of each shows (one row each). The others wait.

        Raises:
            EgoReactError: a slot that nobody has joined.
        """
        slots, count = list(seen), len(seen)
        self._check(slots)
        self._chosen = slots
        if not slots:
            return
        size = 1 << (count - 1).bit_length() if self.rows.device.type == "cuda" else count
        idle = size - count
        self._rows = torch.tensor(slots + [self.capacity] * idle, device=self.rows.device)
        draws = torch.cat([draw([self.generators[slot] for slot in slots]), torch.zeros(idle, dtype=torch.float64)])
        semantic = torch.cat([features.semantic for features in seen.values()])
        depth_m = torch.cat([features.depth_m for features in seen.values()])
        if idle:
            semantic, depth_m = (torch.cat([x, x[:1].expand(idle, *x.shape[1:])]) for x in (semantic, depth_m))
        inputs = [tensor.to(self.rows.device) for tensor in (semantic, depth_m, draws)]
        if size not in self._graphs:
            spare = torch.full_like(self._rows, self.capacity)
            self._graphs[size] = Graphed(self.rows.choose_from, spare, *inputs), Graphed(self.rows.move, spare)
        self._graphs[size][0](self._rows, *inputs)

    def decode(self) -> dict[int, MotionStep]:
        """The motion of the tokens just drawn, by slot."""
        if not self._chosen:
            return {}
        moved = MotionStep.unpack(self._graphs[len(self._rows)][1](self._rows))
        return {slot: moved[place : place + 1] for place, slot in enumerate(self._chosen)}

    def step(self, seen: Mapping[int, FrameFeatures]) -> dict[int, MotionStep]:
        """`choose` and `decode`."""
        self.choose(seen)
        return self.decode()

    def _check(self, slots: Sequence[int]) -> None:
        for slot in slots:
            if slot not in self.generators:
                raise EgoReactError(f"nobody is in slot {slot}", where="slots", remedy="join first")


def draw(generators: Sequence[torch.Generator]) -> Float[Tensor, "streams"]:
    """A number in [0, 1) from each, double precision."""
    return torch.stack([torch.rand((), generator=generator, dtype=torch.float64) for generator in generators])
