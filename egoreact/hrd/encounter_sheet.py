"""All kinds of encounter on one picture: what the wearer's eyes see where most of it is in view."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.plots import INK, PAPER, write
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.progress import Progress

COLUMNS, GAP_PX, NAME_PX = 8, 8, 26


def encounter_sheet(*, image_size_px: int, seed: int) -> UInt8[np.ndarray, "height width 3"]:
    """A picture a kind, named."""
    cell = image_size_px + GAP_PX
    rows = -(-len(ENCOUNTERS) // COLUMNS)
    sheet = np.full((rows * (cell + NAME_PX) + GAP_PX, COLUMNS * cell + GAP_PX, 3), PAPER, np.uint8)
    progress = Progress("rendering", len(ENCOUNTERS), "encounters")
    for number, name in enumerate(ENCOUNTERS):
        row, column = divmod(number, COLUMNS)
        top, left = GAP_PX + row * (cell + NAME_PX), GAP_PX + column * cell
        sheet[top : top + image_size_px, left : left + image_size_px] = _best_view(name, image_size_px, seed)
        write(sheet, name, left + 2, top + image_size_px + 18, 15, INK)
        progress.advance()
    return sheet


def write_encounter_sheet(path: Path, *, image_size_px: int = 168, seed: int = 0) -> None:
    """Raises:
    EgoReactError: the file's ending is of no picture.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise EgoReactError("is no name of a picture", where=path, remedy="end it in .png or .jpg")
    sheet = encounter_sheet(image_size_px=image_size_px, seed=seed)
    with whole_file(path) as beside:
        beside.write_bytes(cv2.imencode(path.suffix, sheet[..., ::-1])[1].tobytes())


def _best_view(category: str, image_size_px: int, seed: int) -> UInt8[np.ndarray, "side side 3"]:
    """The frame in which what comes takes most of the picture, but no more than a third of it."""
    clip = simulate_clip(SimulatorConfig(image_size_px=image_size_px), category, seed, category, "train")
    assert clip.segmentation is not None
    comes = SEGMENTATION_CLASSES.index(ENCOUNTERS[category].comes)
    share = (clip.segmentation == comes).mean(axis=(1, 2))
    return clip.rgb[int(np.where(share < 1 / 3, share, 0.0).argmax())]
