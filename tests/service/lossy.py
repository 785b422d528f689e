"""What the tests of the client need beside a real service: a wire that can be cut, and a service of another mind."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.server import ServerConnection, serve

from egoreact.client.wire import Chunk, Frame, Hello
from egoreact.motion.skeleton import JOINTS, PARENTS, PELVIS, T_POSE_OFFSETS_M

SESSION = "a" * 32
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Wire:
    """Forwards TCP from `url` to a service's port, until it is cut."""

    url: str
    port: int
    pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    silent: set[socket.socket] = field(default_factory=set)

    def lead_to(self, url: str) -> None:
        """Where connections go from now on, as where a service comes back elsewhere behind its name."""
        self.port = urlsplit(url).port or 80

    def fall_silent(self) -> None:
        """The connections that are open stay so, and carry nothing any more."""
        for pair in self.pairs:
            self.silent.update(pair)

    def cut(self) -> None:
        """Both ends see a reset, as where a network goes away; nobody says goodbye."""
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()
        self.pairs.clear()


@contextlib.contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """A loopback address that leads to the service at `url`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}", 0)
        wire.lead_to(url)

        def forward(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while content := source.recv(65536):
                    if source not in wire.silent:
                        sink.sendall(content)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    try:
                        far = socket.create_connection(("127.0.0.1", wire.port))
                    except ConnectionRefusedError:  # nobody is there at present
                        near.close()
                        continue
                    wire.pairs.append((near, far))
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=forward, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
        wire.cut()


@contextlib.contextmanager
def scripted(*scripts: Callable[[ServerConnection], None]) -> Iterator[str]:
    """The address of a server whose first connection follows the first script, its second the second, and so on."""
    waiting = list(scripts)

    def handle(connection: ServerConnection) -> None:
        if waiting:
            waiting.pop(0)(connection)

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()


def hello(**changed: object) -> bytes:
    fields = {
        "version": "4", "digest": "d" * 64, "joints": list(JOINTS), "parents": list(PARENTS), "seed": 0,
        "limits": {"max_message_bytes": 5000}, "session": SESSION, "resumed": False, "next_seq": 0, "next_index": 0,
        "recorded": False,
    }  # fmt: skip
    return Hello(**fields | changed).pack()


def chunk(index: int, seq: int, joints_m: np.ndarray | None = None) -> bytes:
    joints_m = np.zeros((4, 22, 3)) if joints_m is None else joints_m
    return Chunk(
        index, 4 * index, seq, 0.5, joints_m.astype(np.float32), 7, {"total": 1.0}, 0, 1, "4", "d" * 64
    ).pack()  # fmt: skip


def answer(connection: ServerConnection, index: int, joints_m: np.ndarray | None = None) -> Frame:
    """Takes a frame and sends its chunk."""
    frame = Frame.unpack(connection.recv(timeout=30))
    connection.send(chunk(index, frame.seq, joints_m))
    return frame


def vanish(connection: ServerConnection) -> None:
    """The connection ends without a close frame, as where a process is killed."""
    connection.socket.shutdown(2)


def standing_m() -> np.ndarray:
    """(22, 3): a T pose that faces +z, its pelvis 0.9 m above the origin."""
    joints_m = np.zeros((22, 3))
    joints_m[PELVIS, 1] = 0.9
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            joints_m[joint] = joints_m[parent] + T_POSE_OFFSETS_M[joint]
    return joints_m


def turned_m(joints_m: np.ndarray, yaw: float, x: float, z: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return joints_m @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T + np.array([x, 0, z])
