"""The workflows and the page about the cluster: actions pinned, and every command of ours that they run is there."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.check.findings import Finding
from infra.check.sources import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
PAGE = ROOT / "docs" / "cluster.md"
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
_SEPARATORS = ("&&", "||", "|", ";", "(", ")")


def check_workflows(folder: Path = WORKFLOWS) -> Iterator[Finding]:
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        yield from script_findings(PAGE.name, block)
    for path in sorted(folder.glob("*.y*ml")):
        try:
            workflow = yaml.load(path.read_text(), Loader=_Loader)
        except yaml.YAMLError as error:
            yield Finding(path.name, f"is no YAML ({str(error).splitlines()[0]})", "mend it")
            continue
        if "permissions" not in workflow:
            yield Finding(path.name, "has no permissions", "say what its token may do: contents: read")
        for name, job in (workflow.get("jobs") or {}).items():
            if "timeout-minutes" not in job:
                yield Finding(f"{path.name} {name}", "has no timeout-minutes", "say how long it may take")
            for number, step in enumerate(job.get("steps") or (), 1):
                yield from _step(f"{path.name} {name} step {step.get('name') or number}", step)


class _Loader(yaml.SafeLoader):
    """Reads `on:` as the word it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _step(where: str, step: dict[str, Any]) -> Iterator[Finding]:
    used = step.get("uses")
    if used is not None and not used.startswith("./") and not _PINNED.fullmatch(used):
        yield Finding(where, f"{used} may be another tomorrow", "pin it by commit, its version in a comment")
    run = step.get("run", "")
    if "${{ github.event." in run or "${{ github.head_ref" in run:
        yield Finding(where, "runs what others write", "hand it over by env")
    yield from script_findings(where, run)


def script_findings(where: str, script: str) -> Iterator[Finding]:
    """Commands of this project that are not there."""
    for words in commands(script):
        if words[0] == "egoreact":
            yield from _egoreact(where, words[1:])
        elif words[0] == "make":
            for target in (word for word in words[1:] if "=" not in word and not word.startswith("-")):
                if target not in _targets():
                    yield Finding(where, f"there is no target '{target}'", "see: make help")


def commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell script; leading assignments are left out."""
    for line in _EXPRESSION.sub("x", script).replace("\\\n", " ").splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="();|&")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # a quoted text over several lines
            continue
        current: list[str] = []
        for word in [*words, ";"]:
            if word in _SEPARATORS:
                while current and re.fullmatch(r"export|\w+=.*", current[0]):
                    current.pop(0)
                if current:
                    yield current
                current = []
            else:
                current.append(word)


def _egoreact(where: str, words: list[str]) -> Iterator[Finding]:
    from egoreact.cli import commands as known

    table = known()
    name = next((each for each in (" ".join(words[:2]), words[0] if words else "") if each in table), None)
    if name is None:
        yield Finding(where, f"there is no command 'egoreact {' '.join(words[:2])}'", "see: egoreact --help")
        return
    for word in words[len(name.split()) :]:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in _options(name):
            yield Finding(where, f"egoreact {name} has no option {option}", f"see: egoreact {name} --help")


@cache
def _options(name: str) -> frozenset[str]:
    """All that the command's help shows."""
    from egoreact.cli import main

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*name.split(), "--help"])
    return frozenset(re.findall(r"--[a-z][a-z-]*", shown.getvalue()))


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
