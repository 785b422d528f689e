"""The end of a run as a person's terminal wants it."""

import json
from pathlib import Path


def outcome(promoted: bool, version: str, digest: str, decision: Path) -> str:
    """Args:
        promoted: whether the run's bundle is the champion now.
        version: of the champion; empty where there is none.
        digest: of its bundle.
        decision: document of the promotion step.

    Returns:
        all four as JSON, the document under `decision`.
    """
    content = {"promoted": promoted, "version": version, "digest": digest, "decision": json.loads(decision.read_text())}
    return json.dumps(content)
