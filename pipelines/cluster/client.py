"""The API of Kubeflow Pipelines: signing in, trying again what may be tried again, and its errors as one line.

Reading is tried again through short outages. A change is tried again only where the server said that it did not make
it (429, 503); where that is unknown (the connection was cut, 500), whoever asked looks first whether it was made.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egoreact.errors import EgoReactError

ENDPOINT, PAGES = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"
TOKEN, TOKEN_FILE = "KFP_TOKEN", "KFP_TOKEN_FILE"
NAMESPACE = "EGOREACT_NAMESPACE"
CONNECT_S, ANSWER_S = 10.0, 30.0
PATIENCE_S = 60.0
"""How long reading goes on through an outage."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
PAGE = 100

EQUALS = 1


class UnknownOutcomeError(EgoReactError):
    """The API did not say whether it made a change."""


@dataclass(frozen=True)
class Access:
    """Where the API is and how to sign in.

    Args:
        host: its address, as a browser or a port-forward reaches it, for example `https://kubeflow.example/pipeline`.
        token: bearer token; none for an API without sign-in.
        token_file: read anew for each request: a projected token is replaced while a run is watched.
        namespace: of the runs, where the cluster has several; empty otherwise.
        ca_file: certificates to trust instead of the usual ones.
    """

    host: str
    token: str = ""
    token_file: Path | None = None
    namespace: str = ""
    ca_file: Path | None = None

    @staticmethod
    def from_environment(
        host: str | None = None,
        token_file: Path | None = None,
        namespace: str | None = None,
        ca_file: Path | None = None,
    ) -> "Access":
        """What is not given is taken from `KF_PIPELINES_ENDPOINT`, `KFP_TOKEN_FILE`, `KFP_TOKEN`, `EGOREACT_NAMESPACE`.

        Raises:
            EgoReactError: no address, or a token that cannot be read or has expired.
        """
        host = host or os.environ.get(ENDPOINT, "")
        if not host.startswith(("http://", "https://")):
            what = f"'{host}' is no address" if host else "no address of Kubeflow Pipelines"
            raise EgoReactError(what, where="--host", remedy=f"give http(s)://…, or set {ENDPOINT}")
        named = token_file or (Path(os.environ[TOKEN_FILE]) if os.environ.get(TOKEN_FILE) else None)
        token = os.environ.get(TOKEN, "").strip() if named is None else ""
        access = Access(host.rstrip("/"), token, named, namespace or os.environ.get(NAMESPACE, ""), ca_file)
        expired = _expiry_s(access.bearer()) < time.time()
        if expired:
            raise EgoReactError("has expired", where=access.token_place, remedy="make a new one: kubectl create token SERVICE_ACCOUNT")  # fmt: skip
        return access

    @property
    def token_place(self) -> str:
        return f"token in {self.token_file or TOKEN}"

    def bearer(self) -> str:
        """The token as it is now; empty where there is none."""
        if self.token_file is None:
            return self.token
        try:
            token = self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EgoReactError(f"cannot be read ({error})", where=self.token_place, remedy="name a readable file") from error  # fmt: skip
        if not token:
            raise EgoReactError("is empty", where=self.token_place, remedy="write the bearer token into it")
        return token

    def run_url(self, run_id: str) -> str:
        """Of a run's page, which `KF_PIPELINES_UI_ENDPOINT` may place elsewhere than the API."""
        pages = os.environ.get(PAGES, "").rstrip("/") or self.host
        return f"{pages}/#/runs/details/{run_id}"


class Api:
    """The services of the API, and calls that try again.

    Its attributes `runs`, `experiments`, `pipelines`, `uploads`, `recurring` are the stock client's generated services.
    """

    def __init__(self, access: Access):
        import kfp_server_api
        import urllib3

        self.access = access
        settings = kfp_server_api.Configuration(host=access.host)
        settings.retries = urllib3.Retry(0, raise_on_redirect=False)  # what may be tried again is known here
        settings.ssl_ca_cert = str(access.ca_file) if access.ca_file else None
        if access.bearer():
            settings.api_key_prefix["authorization"] = "Bearer"
            self._sign_in(settings)
            settings.refresh_api_key_hook = self._sign_in
        self._client = kfp_server_api.ApiClient(settings)
        self.runs = kfp_server_api.RunServiceApi(self._client)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._client)
        self.recurring = kfp_server_api.RecurringRunServiceApi(self._client)

    def _sign_in(self, settings: Any) -> None:
        settings.api_key["authorization"] = self.access.bearer()

    def read(self, call: Callable[..., Any], *, patience_s: float | None = None, **arguments: Any) -> Any:
        """Calls a service's method that changes nothing, or that may be done twice, through short outages.

        Args:
            patience_s: how long to go on trying, instead of the usual.

        Raises:
            EgoReactError: the API refuses, or is away for longer than the patience.
        """
        return self._patiently(call, arguments, lambda failure: failure.passing, patience_s)

    def change(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """Calls a service's method that must not be done twice.

        Raises:
            UnknownOutcomeError: it may have been made.
            EgoReactError: the API refuses.
        """
        return self._patiently(call, arguments, lambda failure: failure.not_made)

    def find(self, call: Callable[..., Any], field: str, name: str, **arguments: Any) -> list[Any]:
        """Everything in a listing whose display name is this.

        Args:
            field: of the answer, that holds the objects.
        """
        predicate = {"operation": EQUALS, "key": "display_name", "stringValue": name}
        chosen = json.dumps({"predicates": [predicate]})
        found = self.all(call, field, filter=chosen, **arguments)
        return [each for each in found if each.display_name == name]

    def all(self, call: Callable[..., Any], field: str, **arguments: Any) -> list[Any]:
        """A whole listing, page by page."""
        return list(self._pages(call, field, arguments))

    def _pages(self, call: Callable[..., Any], field: str, arguments: dict[str, Any]) -> Iterator[Any]:
        page = ""
        while True:
            answer = self.read(call, page_token=page, page_size=PAGE, **arguments)
            yield from getattr(answer, field) or []
            page = answer.next_page_token or ""
            if not page:
                return

    @property
    def namespaced(self) -> dict[str, str]:
        """The argument of listings in a cluster with several namespaces."""
        return {"namespace": self.access.namespace} if self.access.namespace else {}

    def _patiently(
        self,
        call: Callable[..., Any],
        arguments: dict[str, Any],
        again: Callable[["CallFailedError"], bool],
        patience_s: float | None = None,
    ) -> Any:
        give_up = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self._once(call, arguments)
            except CallFailedError as failure:
                wait_s = max(pause_s, failure.retry_after_s)
                if not again(failure) or time.monotonic() + wait_s > give_up:
                    raise failure.told(self.access) from failure
                time.sleep(wait_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _once(self, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = call(**arguments, _request_timeout=(CONNECT_S, ANSWER_S))
        except ApiException as error:
            raise CallFailedError(error.status or 0, _message(error), _retry_after_s(error.headers)) from error
        except HTTPError as error:
            raise CallFailedError(0, _plain(error)) from error
        kind = self._client.last_response.getheader("content-type") or ""
        if "json" not in kind:  # a proxy's page
            raise CallFailedError(200, kind)
        return answer


class CallFailedError(Exception):
    """One call that gave nothing.

    Args:
        status: HTTP's; 0 where there was no answer.
    """

    def __init__(self, status: int, message: str, retry_after_s: float = 0.0):
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s

    @property
    def passing(self) -> bool:
        return self.status in (0, 429) or self.status >= 500

    @property
    def not_made(self) -> bool:
        return self.status in (429, 503)

    def told(self, access: Access) -> EgoReactError:
        """The line for a person."""
        where = f"Kubeflow Pipelines at {access.host}"
        match self.status:
            case 401 | 403 if not access.bearer():
                return EgoReactError(f"asks for a token ({self.status})", where=where, remedy=f"set {TOKEN_FILE} or {TOKEN}")  # fmt: skip
            case 401:
                return EgoReactError("refuses the token: it has expired or is not for this cluster (401)", where=where, remedy=f"renew the {access.token_place}: kubectl create token SERVICE_ACCOUNT")  # fmt: skip
            case 403:
                return EgoReactError(f"does not let this token's account do that (403): {self.message}", where=where, remedy="ask for the role in the namespace, or name another with --namespace")  # fmt: skip
            case 200 | 301 | 302 | 303 | 307 | 308:
                return EgoReactError("answers with a page for browsers, not with the API", where=where, remedy=f"give a valid token in {TOKEN_FILE}, or the API's own address with --host")  # fmt: skip
            case 0:
                return UnknownOutcomeError(f"does not answer ({self.message})", where=where, remedy="check the address and that it is up; then try again")  # fmt: skip
            case status if self.passing:
                return UnknownOutcomeError(f"answers {status}: {self.message}", where=where, remedy="try again later")
            case 404:
                return EgoReactError(f"does not know it (404): {self.message}", where=where, remedy="check the name, and that --host names the API")  # fmt: skip
            case status:
                return EgoReactError(f"refuses ({status}): {self.message}", where=where, remedy="correct what it names")


def is_status(error: EgoReactError, status: int) -> bool:
    """Whether the API answered so."""
    return isinstance(error.__cause__, CallFailedError) and error.__cause__.status == status


def _message(error: Any) -> str:
    """What the API says, without the Go functions that it wraps it into."""
    body = error.body if isinstance(error.body, str) else ""
    try:
        content = json.loads(body)
        said = content.get("message") or content.get("error") or ""
    except (ValueError, AttributeError):
        said = ""
    return " ".join(str(said or error.reason or "no reason given").split())[:300]


def _plain(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).partition(">: ")[2].split() or str(reason).split())[:200]


def _retry_after_s(headers: Any) -> float:
    value = (headers or {}).get("Retry-After", "")
    return min(float(value), PATIENCE_S) if value.isdigit() else 0.0


def _expiry_s(token: str) -> float:
    """Seconds since 1970 when a JSON web token ends; for ever for one that does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return float("inf")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
