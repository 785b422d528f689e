"""Bearer tokens as they are kept: names, hashes, rates, in a file with a JSON line a token.

A token is a random secret of 256 bits; the file keeps its SHA-256 alone, which is enough for secrets that nobody can
guess. The file is replaced whole and readable by its owner only.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from egoreact.errors import EgoReactError
from egoreact.workspace import Workspace

SECRET_PREFIX = "egoreact_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Token:
    """What the file keeps of a token; times are ISO 8601, UTC."""

    name: str
    sha256: str
    created_at: str
    rate_per_minute: int
    """Uploads and new live sessions a minute; so many may also come at once."""
    sessions: int
    """Live sessions at a time."""
    revoked_at: str | None = None


def tokens_file() -> Path:
    """`EGOREACT_TOKENS`, or `tokens.jsonl` in the workspace."""
    return Path(os.environ.get("EGOREACT_TOKENS") or Workspace.from_environment().root / "tokens.jsonl").absolute()


def read_tokens(path: Path) -> list[Token]:
    """All tokens in the order they were made, revoked ones too; none where there is no file.

    Raises:
        EgoReactError: the file cannot be read, or a line of it is no token.
    """
    remedy = "repair the line, or delete it and make a new token with: egoreact token create NAME"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise EgoReactError(f"cannot be read ({type(error).__name__})", where=path, remedy="check the file") from error
    tokens = []
    for number, line in enumerate(lines, 1):
        try:
            token = Token(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise EgoReactError(f"line {number} is no token", where=path, remedy=remedy) from error
        counts = (token.rate_per_minute, token.sessions)
        if not (isinstance(token.sha256, str) and all(type(count) is int and count > 0 for count in counts)):
            raise EgoReactError(f"line {number} is no token", where=path, remedy=remedy)
        tokens.append(token)
    return tokens


def create_token(path: Path, name: str, *, rate_per_minute: int, sessions: int) -> str:
    """Adds a token and gives its secret, which is kept nowhere.

    Raises:
        EgoReactError: a name that is taken or not fit, a count below 1, or a file that cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise EgoReactError(
            f"'{name}' is no name", where="token", remedy="use up to 64 letters, digits, dots, dashes and underscores"
        )
    for setting, count in (("--rate-per-minute", rate_per_minute), ("--sessions", sessions)):
        if count < 1:
            raise EgoReactError(f"{count} is too few", where=setting, remedy="give 1 or more")
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    made = Token(name, digest_of(secret), _now(), rate_per_minute, sessions)

    def add(tokens: list[Token]) -> list[Token]:
        if any(token.name == name and token.revoked_at is None for token in tokens):
            raise EgoReactError(
                f"a token '{name}' exists", where=path, remedy=f"revoke it first: egoreact token revoke {name}"
            )
        return [*tokens, made]

    _change(path, add)
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Makes a token worthless. Its line stays, so that a service whose last token is revoked does not open.

    Raises:
        EgoReactError: no such token, or a file that cannot be read.
    """

    def revoke(tokens: list[Token]) -> list[Token]:
        if not any(token.name == name and token.revoked_at is None for token in tokens):
            raise EgoReactError(f"no token '{name}'", where=path, remedy="see: egoreact token list")
        return [
            replace(token, revoked_at=_now()) if token.name == name and token.revoked_at is None else token
            for token in tokens
        ]

    _change(path, revoke)


def digest_of(secret: str) -> str:
    """Hex SHA-256 of a secret, as the file keeps it."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _change(path: Path, change: Callable[[list[Token]], list[Token]]) -> None:
    """Replaces the file whole; two at a time wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        tokens = change(read_tokens(path))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mode 600
        beside = Path(name)
        try:
            with os.fdopen(handle, "w") as file:
                file.writelines(json.dumps(asdict(token)) + "\n" for token in tokens)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    finally:
        os.close(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
