"""The objects of a Kubernetes API in memory: kinds by (group, plural), patches, generations, resource versions, events."""

import copy
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
BUILT_IN_GROUPS = ("", "apps", "batch", "autoscaling", "policy", "coordination.k8s.io", "networking.k8s.io")
MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "imagePullSecrets": "name",
    "volumeMounts": "mountPath", "ports": "containerPort", "conditions": "type", "ownerReferences": "uid",
}  # fmt: skip
"""Kubernetes' patch strategies: lists that a strategic merge joins by a key of their items; it replaces others."""

Object = dict[str, Any]


class RefusalError(Exception):
    """What the API server answers instead of an object: an HTTP status and a `Status` document."""

    def __init__(self, code: int, reason: str, message: str):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def document(self) -> Object:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        }  # fmt: skip


@dataclass(frozen=True)
class Kind:
    group: str
    plural: str


@dataclass(frozen=True)
class Event:
    version: int
    kind: Kind
    type: str
    object: Object


@dataclass
class Store:
    """Every change happens under `changed`, gets the next resource version, and wakes watchers and controllers."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    objects: dict[tuple[Kind, str, str], Object] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    version: int = 1
    oldest: int = 0
    """Watches from an older resource version are answered 410 Gone."""
    validators: dict[str, Callable[[Object], str | None]] = field(default_factory=dict)
    """By plural: what is wrong with an object that is created or changed; the request is answered 422."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        with self.changed:
            try:
                return copy.deepcopy(self.objects[kind, namespace, name])
            except KeyError:
                raise RefusalError(404, "NotFound", f'{_resource(kind)} "{name}" not found') from None

    def list(self, kind: Kind, namespace: str | None, matches: Callable[[Object], bool]) -> tuple[int, list[Object]]:
        with self.changed:
            found = [
                copy.deepcopy(value)
                for (at, space, _), value in sorted(self.objects.items(), key=lambda item: item[0][1:])
                if at == kind and namespace in (None, space) and matches(value)
            ]
            return self.version, found

    def create(self, kind: Kind, namespace: str, body: Object, api_version: str) -> Object:
        value = copy.deepcopy(body)
        metadata = value.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        name = metadata.get("name")
        if not name:
            raise RefusalError(422, "Invalid", "name or generateName is required")
        if value.setdefault("apiVersion", api_version) != api_version:
            raise RefusalError(
                400, "BadRequest", f"the API version in the data ({value['apiVersion']}) is not {api_version}"
            )
        if metadata.setdefault("namespace", namespace) != namespace:
            raise RefusalError(400, "BadRequest", "the namespace of the object does not match the request's")
        with self.changed:
            self._check(kind, value)
            if (kind, namespace, name) in self.objects:
                raise RefusalError(409, "AlreadyExists", f'{_resource(kind)} "{name}" already exists')
            value.pop("status", None)
            metadata |= {
                "uid": str(uuid.uuid4()),
                "generation": 1,
                "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            return self._put(kind, value, "ADDED")

    def replace(self, kind: Kind, namespace: str, name: str, body: Object, *, status: bool) -> Object:
        with self.changed:
            before = self.get(kind, namespace, name)
            given = body.get("metadata", {}).get("resourceVersion")
            if given and given != before["metadata"]["resourceVersion"]:
                raise RefusalError(409, "Conflict", f'cannot update {_resource(kind)} "{name}": it has been modified')
            return self._update(kind, before, copy.deepcopy(body), status=status)

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, content_type: str, *, status: bool) -> Object:
        with self.changed:
            before = self.get(kind, namespace, name)
            if isinstance(body, list) != (content_type == JSON_PATCH):
                raise RefusalError(400, "BadRequest", f"the body is no {content_type}")
            if content_type == STRATEGIC and kind.group in BUILT_IN_GROUPS:
                after = strategic(before, body)
            elif content_type == MERGE:
                after = merged(before, body)
            elif content_type == JSON_PATCH:
                after = json_patched(before, body)
            else:
                raise RefusalError(
                    415, "UnsupportedMediaType", f"{content_type} is not supported for {_resource(kind)}"
                )
            return self._update(kind, before, after, status=status)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> Object:
        with self.changed:
            value = self.get(kind, namespace, name)
            if uid not in (None, value["metadata"]["uid"]):
                raise RefusalError(409, "Conflict", f"the UID in the precondition ({uid}) does not match")
            del self.objects[kind, namespace, name]
            self._note(kind, "DELETED", value)
            return value

    def compact(self) -> None:
        """Forgets all events, as etcd does after a while: watches from what was listed before get 410 Gone."""
        with self.changed:
            self.events.clear()
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not condition():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self.changed.wait(min(left_s, 0.5))
            return True

    def _update(self, kind: Kind, before: Object, after: Object, *, status: bool) -> Object:
        kept = before if status else after
        other = after if status else before
        value = copy.deepcopy(kept)
        value.pop("status", None)
        if "status" in other:  # the status is a resource of its own: each request changes only its part
            value["status"] = copy.deepcopy(other["status"])
        fixed = ("uid", "creationTimestamp", "generation", "namespace", "name")
        value.setdefault("metadata", {}).update({name: before["metadata"][name] for name in fixed})
        if value.get("spec") != before.get("spec"):
            value["metadata"]["generation"] += 1
        self._check(kind, value)
        if {**value, "metadata": _plain(value)} == {**before, "metadata": _plain(before)}:
            return before
        return self._put(kind, value, "MODIFIED")

    def _check(self, kind: Kind, value: Object) -> None:
        validator = self.validators.get(kind.plural)
        wrong = validator(value) if validator else None
        if wrong:
            raise RefusalError(422, "Invalid", wrong)

    def _put(self, kind: Kind, value: Object, event: str) -> Object:
        self.objects[kind, value["metadata"]["namespace"], value["metadata"]["name"]] = value
        self._note(kind, event, value)
        return copy.deepcopy(value)

    def _note(self, kind: Kind, event: str, value: Object) -> None:
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self.events.append(Event(self.version, kind, event, copy.deepcopy(value)))
        self.changed.notify_all()


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), change)
    return result


def strategic(value: Any, patch: Any, list_name: str = "") -> Any:
    """Kubernetes' own merge: like RFC 7386, but lists of `MERGE_KEYS` merge item by item."""
    if isinstance(patch, list) and list_name in MERGE_KEYS and all(isinstance(item, dict) for item in patch):
        key = MERGE_KEYS[list_name]
        items = {item[key]: item for item in copy.deepcopy(value or [])}
        for change in patch:
            if key not in change:
                raise RefusalError(400, "BadRequest", f"map: {change} does not contain declared merge key: {key}")
            if change.get("$patch") == "delete":
                items.pop(change[key], None)
            else:
                items[change[key]] = strategic(items.get(change[key]), change)
        return list(items.values())
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {name: copy.deepcopy(part) for name, part in patch.items() if name != "$patch"}
    result = copy.deepcopy(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if name.startswith("$"):
            continue
        if change is None:
            result.pop(name, None)
        else:
            result[name] = strategic(result.get(name), change, name)
    return result


def json_patched(value: Object, operations: list[Object]) -> Object:
    """RFC 6902's add, replace, remove and test."""
    result = copy.deepcopy(value)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target: Any = result
        try:
            for part in parents:
                target = target[int(part)] if isinstance(target, list) else target[part]
            at: Any = last if isinstance(target, dict) else len(target) if last == "-" else int(last)
            if operation["op"] in ("remove", "replace", "test"):
                found = target[at]
                if operation["op"] == "test" and found != operation["value"]:
                    raise RefusalError(422, "Invalid", f"testing value {operation['path']} failed")
            if operation["op"] == "remove":
                del target[at]
            elif operation["op"] == "add" and isinstance(target, list):
                target.insert(at, operation["value"])
            elif operation["op"] in ("add", "replace"):
                target[at] = operation["value"]
        except (KeyError, IndexError, ValueError, TypeError):
            raise RefusalError(422, "Invalid", f"the path {operation['path']} does not exist") from None
    return result


def _plain(value: Object) -> Object:
    return {name: part for name, part in value["metadata"].items() if name != "resourceVersion"}


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural
