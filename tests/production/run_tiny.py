"""One run of the `tiny` pipeline as a process of its own, for whoever wants to disturb it. Prints a line an event.

STEP <name> <state>     a step started (running), or ended (done, cached, failed)
DONE <json>             promoted, version, digest, data_revision
ERROR <line>            what the person would read; exit code 2
"""

import json
import sys

from egoreact.errors import EgoReactError
from egoreact.presets import tiny
from pipelines.local import run_training


def main() -> int:
    def watch(step, total, line) -> None:
        if not line:
            print("STEP", step.name, step.state, file=sys.__stdout__, flush=True)

    try:
        ran = run_training(tiny(int(sys.argv[1])).to_json(), watch=watch)
    except EgoReactError as error:
        print("ERROR", error, flush=True)
        return 2
    except KeyboardInterrupt:
        print("ERROR stopped", flush=True)
        return 130
    kept = ("promoted", "version", "digest", "data_revision")
    print("DONE", json.dumps({name: getattr(ran, name) for name in kept}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
