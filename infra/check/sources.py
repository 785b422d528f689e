"""What the sources say, read without importing them: kfp and torch take seconds."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from egoreact.errors import EgoReactError

ROOT = Path(__file__).parents[2]


@cache
def constants(path: str) -> dict[str, Any]:
    """A module's literals by name.

    Args:
        path: of the module, from the project's root.
    """
    found: dict[str, Any] = {}
    for node in ast.parse((ROOT / path).read_text()).body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name, literal in pairs:
            if isinstance(name, ast.Name):
                try:
                    found[name.id] = ast.literal_eval(literal)
                except ValueError:  # made by code
                    continue
    return found


def constant(path: str, name: str) -> Any:
    """Raises EgoReactError where the module has no such literal."""
    try:
        return constants(path)[name]
    except KeyError as error:
        raise EgoReactError(f"has no literal {name}", where=path, remedy="correct the name in infra/check") from error
