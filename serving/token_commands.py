"""The commands that make, list and revoke the service's bearer tokens."""

import sys
from collections.abc import Callable

from serving.tokens import create_token, read_tokens, revoke_token, tokens_file


def create(name: str, /, *, rate_per_minute: int = 60, sessions: int = 2) -> None:
    """Make a bearer token and print its secret, once: only its hash is kept.

    A running service takes it at once. The file is EGOREACT_TOKENS, or tokens.jsonl in the workspace.

    Args:
        name: whose it is, for the list and the logs.
        rate_per_minute: uploads and new live sessions a minute.
        sessions: live sessions at a time.
    """
    path = tokens_file()
    print(create_token(path, name, rate_per_minute=rate_per_minute, sessions=sessions))
    print(f"kept as a hash in {path}; this is the only time the secret is shown", file=sys.stderr)


def list_tokens() -> None:
    """List the bearer tokens: names, rates and whether they count; secrets are kept nowhere."""
    tokens = read_tokens(tokens_file())
    if not tokens:
        print("no tokens yet; make one with: egoreact token create NAME")
        return
    width = max(len("NAME"), *(len(token.name) for token in tokens))
    print(f"{'NAME':<{width}}  {'CREATED':<25}  A MINUTE  SESSIONS  STATE")
    for token in tokens:
        state = "active" if token.revoked_at is None else f"revoked {token.revoked_at}"
        print(
            f"{token.name:<{width}}  {token.created_at:<25}  {token.rate_per_minute:>8}  {token.sessions:>8}  {state}"
        )


def revoke(name: str, /) -> None:
    """Revoke a bearer token: a running service refuses it from now on.

    Args:
        name: of the token.
    """
    revoke_token(tokens_file(), name)
    print(f"revoked {name}")


COMMANDS: dict[str, Callable[..., None]] = {
    "token create": create,
    "token list": list_tokens,
    "token revoke": revoke,
}
