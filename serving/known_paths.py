"""Paths that no route knows become one. BentoML's metrics keep a series for each path that was asked for, for ever."""

from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.openapi import SYSTEM_PATHS

FIXED = ("/", "/v1/reactions", "/v1/model", "/v1/samples", "/v1/stream", "/v1/openapi.json", *SYSTEM_PATHS)
NOWHERE = "-"


class KnownPaths:
    def __init__(self, app: ASGIApp, folders: Callable[[], dict[str, Path]]):
        """Args:
        folders: those whose files are served, by the path before their names.
        """
        self.app, self.folders = app, folders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = self.known(scope["path"])
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)

    def known(self, path: str) -> str:
        """The path itself, or what stands for all of its kind that lead nowhere."""
        if path in FIXED:
            return path
        before, _, name = path.rpartition("/")
        folder = self.folders().get(before)
        if folder is None:
            return f"/{NOWHERE}"
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        return path if name in names else f"{before}/{NOWHERE}"
