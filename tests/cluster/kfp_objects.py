"""What Kubeflow Pipelines' API server keeps, refuses and answers, as far as runs and schedules need it.

As in the real one, display names of pipelines, versions and experiments are unique, those of runs and recurring runs
are not; a terminated run is CANCELING before it is CANCELED; tasks are Argo's nodes, so that beside each step there are
its driver and its executor, and an unfinished one ends in 1970.
"""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.cluster.package import Package

UNFINISHED = "1970-01-01T00:00:00Z"
PAGE_SIZE = 2
"""At most so many objects a page, whatever a client asks for."""
Object = dict[str, Any]


class RefusedError(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass
class Script:
    """How runs go: which steps fail, are cached or are not run, and how often a run must be looked at to move on.

    Args:
        end: of a run that nobody cancels; PENDING to never begin.
        hangs: the run stays at its first step until it is cancelled.
    """

    end: str = "SUCCEEDED"
    failing: str = ""
    cached: frozenset[str] = frozenset()
    not_run: frozenset[str] = frozenset()
    hangs: bool = False
    canceling_looks: int = 1


class KfpObjects:
    """The API server's state, without HTTP."""

    def reset(self) -> None:
        self.lock = threading.RLock()
        self.script = Script()
        self.experiments: dict[str, Object] = {}
        self.pipelines: dict[str, Object] = {}
        self.versions: dict[str, Object] = {}
        self.runs: dict[str, Object] = {}
        self.recurring: dict[str, Object] = {}
        self.looks: dict[str, int] = {}
        self.steps: dict[str, list[str]] = {}
        self.on_look: Callable[[str, int], None] = lambda run, look: None

    def route(self, method: str, path: str, arguments: dict[str, str], content: Any) -> Object:
        """What the API answers. `content` is the request's JSON, or the text of an uploaded file."""
        rest = path.removeprefix("/apis/v2beta1/")
        if (method, rest) == ("GET", "healthz"):
            return {"multi_user": False}
        if method == "POST" and rest.startswith("pipelines/upload"):
            return self._upload(rest, arguments, content)
        for kind, store in (
            ("experiments", self.experiments),
            ("pipelines", self.pipelines),
            ("runs", self.runs),
            ("recurringruns", self.recurring),
        ):
            if rest == kind and method == "GET":
                return self._list(_key(kind), list(store.values()), arguments)
            if rest == kind and method == "POST":
                return getattr(self, f"_create_{kind}")(content)
            found = re.fullmatch(rf"{kind}/([^/:]+)(?::(\w+))?", rest)
            if found:
                return self._one(method, kind, store, found[1], found[2])
        found = re.fullmatch(r"pipelines/([^/]+)/versions(?:/([^/]+))?", rest)
        if found and method == "GET" and found[2] is None:
            own = [each for each in self.versions.values() if each["pipeline_id"] == found[1]]
            return self._list("pipeline_versions", own, arguments)
        if found and method == "GET":
            return self._existing(self.versions, found[2])
        raise RefusedError(404, f"Not Found: {method} {path}")

    def _one(self, method: str, kind: str, store: dict[str, Object], key: str, action: str | None) -> Object:
        each = self._existing(store, key)
        match method, kind, action:
            case "GET", "runs", None:
                self._advance(each)
                return each
            case "GET", _, None:
                return each
            case "DELETE", _, None:
                del store[key]
                return {}
            case "POST", "runs", "terminate":
                if each["state"] not in ("PENDING", "RUNNING", "PAUSED"):
                    raise RefusedError(400, f"Failed to terminate a run {key}. Row not found")
                self.move(each, "CANCELING")
                self.looks[key] = 0
                return {}
            case "POST", "recurringruns", ("enable" | "disable") as mode:
                each["mode"], each["status"] = mode.upper(), f"{mode.upper()}D"
                return {}
        raise RefusedError(404, f"Not Found: {method} {kind} {action}")

    def _existing(self, store: dict[str, Object], key: str) -> Object:
        if key not in store:
            raise RefusedError(404, f"ResourceNotFoundError: {key} not found")
        return store[key]

    def _list(self, key: str, found: list[Object], arguments: dict[str, str]) -> Object:
        for predicate in json.loads(arguments.get("filter") or "{}").get("predicates", []):
            assert predicate["operation"] in (1, "EQUALS"), predicate
            wanted = predicate.get("stringValue", predicate.get("string_value"))
            found = [each for each in found if each.get(predicate["key"]) == wanted]
        if "experiment_id" in arguments:
            found = [each for each in found if each.get("experiment_id") == arguments["experiment_id"]]
        start = int(arguments.get("page_token") or 0)
        end = start + min(int(arguments.get("page_size") or 20), PAGE_SIZE)
        answer: Object = {"total_size": len(found)}
        if found[start:end]:
            answer[key] = found[start:end]
        if end < len(found):
            answer["next_page_token"] = str(end)
        return answer

    def _create_experiments(self, content: Object) -> Object:
        if any(each["display_name"] == content["display_name"] for each in self.experiments.values()):
            raise RefusedError(409, f"Already exist error: {content['display_name']}")
        return self._keep(self.experiments, "experiment_id", content)

    def _create_pipelines(self, content: Object) -> Object:
        if any(each["display_name"] == content["display_name"] for each in self.pipelines.values()):
            raise RefusedError(409, f"Already exist error: The name {content['display_name']} already exist.")
        return self._keep(self.pipelines, "pipeline_id", content)

    def _upload(self, rest: str, arguments: dict[str, str], text: str) -> Object:
        name = arguments.get("display_name") or arguments.get("name")
        spec, *platform = Package("", text).documents
        if rest == "pipelines/upload":
            if any(each["display_name"] == name for each in self.pipelines.values()):
                raise RefusedError(
                    409, f"Already exist error: Failed to create a new pipeline. The name {name} already exist."
                )
            pipeline = self._keep(self.pipelines, "pipeline_id", {"display_name": name})
        else:
            pipeline = self._existing(self.pipelines, arguments.get("pipelineid", ""))
            same = [each for each in self.versions.values() if each["pipeline_id"] == pipeline["pipeline_id"]]
            if any(each["display_name"] == name for each in same):
                raise RefusedError(409, f"Already exist error: Failed to create a new pipeline version. The name {name} already exist.")  # fmt: skip
        content = {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
        version = {"display_name": name, "pipeline_id": pipeline["pipeline_id"], "pipeline_spec": content}
        kept = self._keep(self.versions, "pipeline_version_id", version)
        return pipeline if rest == "pipelines/upload" else kept

    def _create_runs(self, content: Object) -> Object:
        spec = self._spec(content)
        self._check_parameters(spec, content)
        run = self._keep(self.runs, "run_id", content | {"state": "PENDING", "state_history": []})
        self.move(run, "PENDING")
        self.looks[run["run_id"]] = 0
        self.steps[run["run_id"]] = _steps(spec)
        return run

    def _create_recurringruns(self, content: Object) -> Object:
        self._check_parameters(self._spec(content), content)
        cron = content.get("trigger", {}).get("cron_schedule", {}).get("cron", "")
        if len(cron.split()) != 6:
            raise RefusedError(400, f"Schedule cron is not a supported format: {cron}")
        mode = content.get("mode", "ENABLE")
        return self._keep(self.recurring, "recurring_run_id", content | {"status": f"{mode}D", "mode": mode})

    def _spec(self, content: Object) -> Object:
        reference = content.get("pipeline_version_reference")
        if not reference:
            spec = content["pipeline_spec"]
        else:
            version = self._existing(self.versions, reference["pipeline_version_id"])
            spec = version["pipeline_spec"]
        return spec.get("pipeline_spec", spec)

    def _check_parameters(self, spec: Object, content: Object) -> None:
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = (content.get("runtime_config") or {}).get("parameters") or {}
        missing = {name for name, each in declared.items() if not each.get("isOptional")} - set(given)
        if missing or set(given) - set(declared):
            raise RefusedError(
                400, f"parameters missing {sorted(missing)}, unknown {sorted(set(given) - set(declared))}"
            )

    def _keep(self, store: dict[str, Object], key: str, content: Object) -> Object:
        made = content | {key: str(uuid.uuid4()), "created_at": _now()}
        store[made[key]] = made
        return made

    def move(self, run: Object, state: str) -> None:
        run["state"] = state
        run["state_history"].append({"update_time": _now(), "state": state})

    def _advance(self, run: Object) -> None:
        """Each look at a run takes it a step further."""
        key = run["run_id"]
        self.looks[key] += 1
        look = self.looks[key]
        self.on_look(key, look)
        steps = self.steps[key]
        if run["state"] == "CANCELING" and look > self.script.canceling_looks:
            self.move(run, "CANCELED")
            run["finished_at"] = _now()
        elif run["state"] == "PENDING" and self.script.end != "PENDING":
            self.move(run, "RUNNING")
        elif run["state"] == "RUNNING" and not self.script.hangs:
            failing = steps.index(self.script.failing) if self.script.failing else len(steps)
            if look - 1 > min(failing, len(steps) - 1):
                self.move(run, self.script.end)
                run["finished_at"] = _now()
        done = len(steps) if run["state"] == "SUCCEEDED" else (0 if self.script.hangs else look - 2)
        run["run_details"] = {"task_details": list(self._tasks(run, steps, done))}

    def _tasks(self, run: Object, steps: list[str], done: int) -> Iterator[Object]:
        workflow = f"{run['display_name'].split()[0]}-{run['run_id'][:5]}"
        yield _task(run, workflow, workflow, run["state"])
        yield _task(run, f"{workflow}-1", "root-driver", "SUCCEEDED")
        if run["state"] == "PENDING":
            return
        for number, step in enumerate(steps):
            if step in self.script.not_run:
                yield _task(run, f"{workflow}-{number}9", step, "SKIPPED")
                continue
            if number > done or (run["state"] in ("CANCELING", "CANCELED") and number >= max(done, 0)):
                return
            state = "RUNNING" if number == done else "SUCCEEDED"
            if step == self.script.failing and run["state"] == "FAILED":
                state = "FAILED"
            pod = f"{workflow}-{number}2"
            yield _task(run, f"{workflow}-{number}1", f"{step}-driver", "SUCCEEDED")
            yield _task(run, f"{workflow}-{number}3", step, state, children=[pod])
            yield _task(run, pod, "executor", "SKIPPED" if step in self.script.cached else state)
            if state == "FAILED":
                return


def _task(run: Object, node: str, name: str, state: str, children: list[str] | None = None) -> Object:
    ended = state not in ("RUNNING", "PENDING", "CANCELING")
    task: Object = {
        "run_id": run["run_id"],
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_URL, node)),
        "pod_name": node,
        "display_name": name,
        "create_time": run["created_at"],
        "start_time": run["created_at"],
        "end_time": _now() if ended else UNFINISHED,
        "state": state,
        "child_tasks": [{"pod_name": child} for child in children or []],
    }
    if state == "FAILED":
        task["error"] = {"code": 2, "message": "Error (exit code 1)"}
    return task


def _steps(spec: Object) -> list[str]:
    """The steps that run in pods, as Argo would begin them one after another."""
    package = Package("", "")
    package.__dict__["documents"] = [spec]
    return list(package.steps)


def _key(kind: str) -> str:
    return {"recurringruns": "recurringRuns"}.get(kind, kind)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
