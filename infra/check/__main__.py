"""`python -m infra.check`: a table of what was checked, a line a finding, exit code 2 where there is one."""

import argparse
import sys
import time

from egoreact.errors import EgoReactError
from infra.check.checks import Outcome, run_all
from infra.check.manifests import overlays, render
from infra.check.monitoring import write_rule


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.check", description=__doc__)
    parser.add_argument("--write", action="store_true", help="make prometheus-rule.yaml of alerts.yaml first")
    given = parser.parse_args(arguments)
    started_s = time.monotonic()
    try:
        if given.write:
            write_rule()
        clusters = [render(folder) for folder in overlays()]
        outcomes = run_all(clusters)
    except EgoReactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{each.name} {len(each.objects)} objects" for each in clusters)
    _show(outcomes, f"{counts}; {time.monotonic() - started_s:.1f} s")
    findings = list(dict.fromkeys((o.check, finding) for o in outcomes for finding in o.findings))
    for check, finding in findings:
        print(f"error: [{check}] {finding}", file=sys.stderr)
    return 2 if findings else 0


def _show(outcomes: list[Outcome], caption: str) -> None:
    """A row a check, a column an overlay."""
    from rich.console import Console
    from rich.table import Table

    targets = list(dict.fromkeys(outcome.target for outcome in outcomes if outcome.target))
    table = Table(caption=caption, caption_justify="left")
    table.add_column("check")
    for target in targets:
        table.add_column(target, justify="right")
    for check in dict.fromkeys(outcome.check for outcome in outcomes):
        found = {outcome.target: len(outcome.findings) for outcome in outcomes if outcome.check == check}
        cells = [found.get(target, found.get("", 0)) if target in found or "" in found else None for target in targets]
        table.add_row(
            check, *("" if count is None else "[green]✓[/]" if not count else f"[red]✗ {count}[/]" for count in cells)
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
