"""T2M's published evaluator: `Comp_v6_KLD01/text_mot_match/model/finest.tar`, for figures that compare with the field's.

The file is a `torch.save` of state dicts by network (`movement_encoder`, `motion_encoder`, `text_encoder`), of their
optimisers, `epoch` and `iter`. The two motion encoders are taken and must fit key by key; the rest is left. The statistics
that go with it are the evaluator's own `mean.npy` and `std.npy`, not the data set's: the two differ 25-fold in places.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.models.motion_evaluator import MOVEMENT_DIM, MotionEvaluator, MotionEvaluatorConfig
from egoreact.motion.representation import FEATURE_DIM
from egoreact.weights import load_state

ENCODERS = ("movement_encoder", "motion_encoder")
REMEDY = "give T2M's text_mot_match/model/finest.tar of HumanML3D, and the mean.npy and std.npy of its evaluator"


def load_t2m_evaluator(checkpoint: Path, mean: Path, std: Path) -> MotionEvaluator:
    """The evaluator that a T2M checkpoint holds, in evaluation mode. It embeds and names no categories.

    Args:
        mean: .npy of the evaluator's means of the 263 features.
        std: .npy of their standard deviations.

    Raises:
        EgoReactError: a file is missing, cut short, or holds more than plain numbers (whose code is never run); a key is
            missing, unknown or misshapen; statistics of another shape, or a standard deviation that is not positive.
    """
    state = _read(checkpoint)
    evaluator = MotionEvaluator(MotionEvaluatorConfig(), categories=())
    for name in ENCODERS:
        load_state(evaluator.get_submodule(name), state[name], where=f"{checkpoint}, {name}")
    means, deviations = _statistics(mean), _statistics(std)
    if not bool((deviations > 0).all()):
        raise EgoReactError("holds a standard deviation that is not positive", where=std, remedy=REMEDY)
    evaluator.mean.copy_(means)
    evaluator.std.copy_(deviations)
    return evaluator.eval()


def _read(path: Path) -> dict[str, dict[str, Tensor]]:
    if not Path(path).is_file():
        raise EgoReactError("no such file", where=path, remedy=REMEDY)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no checkpoint, torch's reader fails in any way it likes
        reason = f"cannot be read as plain weights ({type(error).__name__})"
        raise EgoReactError(reason, where=path, remedy=REMEDY) from error
    for name in ENCODERS:
        state = content.get(name) if isinstance(content, dict) else None
        if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise EgoReactError(f"holds no weights of a {name}", where=path, remedy=REMEDY)
    return content


def _statistics(path: Path) -> Float[Tensor, "259"]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise EgoReactError(f"is no array of numbers ({type(error).__name__})", where=path, remedy=REMEDY) from error
    if not isinstance(values, np.ndarray) or values.shape != (FEATURE_DIM,) or not np.isfinite(values).all():
        raise EgoReactError(f"is not {FEATURE_DIM} finite numbers", where=path, remedy=REMEDY)
    return torch.from_numpy(values[:MOVEMENT_DIM]).float()
