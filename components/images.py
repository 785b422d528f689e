"""The container images that steps run in. On one machine none is used: steps are processes of this Python.

A cluster's cache knows an image by its name alone: name it by digest (`…@sha256:…`), never by a tag that moves.
"""

import os
import re

from egoreact.errors import EgoReactError

STEP_IMAGE = os.environ.get("EGOREACT_STEP_IMAGE", "egoreact/step:latest")
"""Holds the project, kfp, and every tool a step uses. Chosen when a pipeline is compiled."""

_NAME = re.compile(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?")


def check_image(image: str, *, allow_tag: bool = False) -> None:
    """Raises:
    EgoReactError: it is no image's name, or a tag's, so that what runs tomorrow may be other than what runs today.
    """
    found = _NAME.fullmatch(image)
    if not found or not (found[1] or allow_tag):
        raise EgoReactError(
            "is not named by digest" if found else "is no image's name",
            where=f"image {image}",
            remedy="give --image NAME@sha256:… (docker inspect tells it), or --allow-tag for a trial",
        )
