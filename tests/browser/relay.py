"""A cable between browser and service that a test can cut: a TCP relay on one port, whatever service stands behind it."""

import contextlib
import selectors
import socket
import struct
import threading


class Relay:
    """Passes bytes both ways while `plugged`. A cut is as abrupt as a lost network: no close frame, no goodbye."""

    def __init__(self) -> None:
        self.plugged = True
        self._service_port: int | None = None
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()

    def lead_to(self, url: str) -> None:
        self._service_port = int(url.rpartition(":")[2])

    def cut(self) -> None:
        """Ends every connection by a reset, and refuses new ones until `plug`."""
        self.plugged = False
        for side in list(self._open):
            with contextlib.suppress(OSError):  # it ended by itself meanwhile
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        self.plugged = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # a side that ends abruptly ends the other
            if not self.plugged:
                return
            with socket.create_connection(("127.0.0.1", self._service_port)) as service:
                self._open |= {client, service}
                try:
                    _pump(client, service)
                finally:
                    self._open -= {client, service}


def _pump(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                content = key.fileobj.recv(65536)
                if not content:
                    return
                key.data.sendall(content)
