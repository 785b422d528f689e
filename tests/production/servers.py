"""PostgreSQL, S3 and MLflow as production has them, each a process of its own on a free port; tests and people start them.

    python tests/production/servers.py        starts all three and prints what to export; Ctrl-C stops them

What they keep goes with them. PostgreSQL refuses to run as root, so it runs as a user that owns nothing else.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BUCKET = "egoreact"
ACCESS_KEY, SECRET_KEY = "AKIAEGOREACTTESTS", "not-a-secret-of-anything-93c1"
UNPRIVILEGED = ("postgres", "nobody")
START_S = 120.0


@dataclass(frozen=True)
class Servers:
    """Addresses of the three, and the environment by which everything here uses them."""

    database: str
    s3: str
    mlflow: str

    def settings(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.mlflow,
            "EGOREACT_DVC_REMOTE": f"s3://{BUCKET}/dvc",
            "AWS_ENDPOINT_URL": self.s3,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def missing() -> str:
    """What this machine lacks; empty where all can be started."""
    if initdb() is None:
        return "no initdb on this machine: install PostgreSQL"
    if os.getuid() == 0 and not _unprivileged():
        return f"PostgreSQL refuses root, and there is no user {' or '.join(UNPRIVILEGED)}"
    return ""


def initdb() -> Path | None:
    """PostgreSQL's own programs lie beside it; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve()] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return places[-1] if places else None


@contextlib.contextmanager
def production(folder: Path) -> Iterator[Servers]:
    """All three. `folder` takes their logs."""
    with postgresql(folder) as database, s3(folder) as address, mlflow(folder, database, address) as tracking:
        yield Servers(database, address, tracking)


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A new cluster with a database `mlflow`; gives its address."""
    programs = initdb()
    assert programs is not None
    user = _unprivileged() if os.getuid() == 0 else None
    account = pwd.getpwnam(user) if user else None
    # Not in pytest's folders: they are closed to other users.
    with tempfile.TemporaryDirectory(prefix="egoreact-postgres-") as place:
        data = Path(place) / "data"
        if account:
            os.chown(place, account.pw_uid, account.pw_gid)
        run_as = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
        made = [programs, "-D", data, "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=place, **run_as)  # type: ignore[call-overload]
        port = free_port()
        command = [programs.with_name("postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", place, "-F"]
        with _process("postgresql", command, folder, cwd=place, end=signal.SIGINT, **run_as):
            server = f"postgresql://mlflow@127.0.0.1:{port}"
            _make_database(server, "mlflow")
            yield f"{server}/mlflow"


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[str]:
    """moto's server over HTTP with one bucket; gives its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with _process("s3", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port], folder) as process:
        _await_http(f"{address}/moto-api/", process)
        urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"), timeout=10).close()
        yield address


@contextlib.contextmanager
def mlflow(folder: Path, database: str, s3_address: str, port: int | None = None) -> Iterator[str]:
    """MLflow's server on them. Clients write artifacts to S3 themselves; the server only keeps where they are."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "AWS_ENDPOINT_URL": s3_address,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    # The driver by name: SQLAlchemy 2.1 takes another one, psycopg 3, for a bare postgresql://.
    store = database.replace("postgresql:", "postgresql+psycopg2:", 1)
    command: list[object] = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store,
        "--no-serve-artifacts",
    ]
    command += ["--default-artifact-root", f"s3://{BUCKET}/mlflow", "--host", "127.0.0.1", "--port", str(port)]
    with _process("mlflow", [*command, "--workers", "1"], folder, settings=settings) as process:
        _await_http(f"{address}/health", process)
        yield address


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _unprivileged() -> str | None:
    known = {account.pw_name for account in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED if name in known), None)


@contextlib.contextmanager
def _process(
    name: str, command: list[object], folder: Path, *, settings: dict[str, str] | None = None, end: int = signal.SIGTERM,
    **options: object,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "AWS_", "EGOREACT_"))}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=kept | (settings or {}), **options,
        )  # type: ignore[call-overload]  # fmt: skip
        process.log = folder / f"{name}.log"
        try:
            yield process
        finally:
            process.send_signal(end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # workers that outlived it
            process.wait()


def _await_http(address: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    _until(answers, process)


def _make_database(server: str, name: str) -> None:
    import psycopg2

    def answers() -> bool:
        with contextlib.suppress(psycopg2.OperationalError):
            psycopg2.connect(f"{server}/postgres").close()
            return True
        return False

    _until(answers)
    connection = psycopg2.connect(f"{server}/postgres")
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"create database {name}")


def _until(ready, process: subprocess.Popen[bytes] | None = None) -> None:
    give_up_s = time.monotonic() + START_S
    while not ready():
        if (process is not None and process.poll() is not None) or time.monotonic() > give_up_s:
            raise RuntimeError(process.log.read_text()[-2000:] if process else "it does not start")
        time.sleep(0.05)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="egoreact-production-") as name, production(Path(name)) as servers:
        print("\n".join(f"export {key}={value}" for key, value in servers.settings().items()), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(lacking)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
