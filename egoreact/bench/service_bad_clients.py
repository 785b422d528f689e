"""Bad clients, a fault each. Run in the clients' process, against a service with `SETTINGS`.

Each says of how many tries the service did what its protocol promises (docs/stream-protocol.md).
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import msgpack
import numpy as np
from jaxtyping import Float32
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from egoreact.client.wire import FRAMES_PER_TOKEN, Chunk, Frame, unpack_message
from egoreact.errors import EgoReactError

SETTINGS: dict[str, object] = {"EGOREACT_MAX_SESSIONS": 32, "EGOREACT_RESUME_SECONDS": 1, "EGOREACT_IDLE_SECONDS": 2}
"""Of the service that is tried: clients that vanish or stall give their slots back while one waits."""
FLOOD = 500
CUT_AT = 4
"""Tokens before a connection is cut."""
AT_ONCE_S = 10.0
"""Within which each of a flood's connects must be answered: they all share one client process."""
SAME_M = 1e-5
GONE_WRONG: tuple[type[Exception], ...] = (OSError, TimeoutError, WebSocketException, EgoReactError)
"""What a client meets where the service does not do what it promises."""


@dataclass(frozen=True)
class Target:
    url: str
    images: tuple[bytes, ...]
    alone_m: Float32[np.ndarray, "tokens 4 22 3"]
    """Motion of a session of seed 0 that shows the images in turn, one a token, with nobody else there."""


Fault = Callable[[Target], Awaitable[tuple[int, int]]]
"""Tried, and of these well answered."""


def _open(target: Target, **query: object) -> connect:
    asked = "&".join(f"{name}={value}" for name, value in {"seed": 0, **query}.items())
    return connect(
        f"{target.url.replace('http', 'ws', 1)}/v1/stream?{asked}", compression=None, ping_interval=None,
        open_timeout=AT_ONCE_S, close_timeout=1, max_queue=None,
    )  # fmt: skip


async def _hear(connection: ClientConnection) -> dict[str, Any]:
    return unpack_message(await connection.recv(decode=False))


async def _frame(connection: ClientConnection, target: Target, token: int) -> np.ndarray:
    await connection.send(Frame(FRAMES_PER_TOKEN * token, 0.0, target.images[token % len(target.images)]).pack())
    return Chunk.from_message(await _hear(connection)).joints_m


async def _vanish(target: Target) -> tuple[int, int]:
    """In mid-session, without a word; another connection goes on with the session as if nothing had been."""
    connection = await _open(target)
    session = (await _hear(connection))["session"]
    motion_m = [await _frame(connection, target, token) for token in range(CUT_AT)]
    connection.transport.abort()
    async with _open(target, resume=session) as connection:
        if not (await _hear(connection))["resumed"]:
            return 1, 0
        motion_m += [await _frame(connection, target, token) for token in range(CUT_AT, 2 * CUT_AT)]
    return 1, int(np.abs(np.stack(motion_m) - target.alone_m[: 2 * CUT_AT]).max() <= SAME_M)


async def _vanish_for_good(target: Target) -> tuple[int, int]:
    connection = await _open(target)
    await _hear(connection)
    await connection.send(Frame(0, 0.0, target.images[0]).pack())
    connection.transport.abort()
    return 1, 1


async def _stall(target: Target) -> tuple[int, int]:
    """Says nothing more; it is closed once it was idle too long."""
    async with _open(target) as connection:
        await _hear(connection)
        await _frame(connection, target, 0)
        return 1, await _closes(connection, 1008)


async def _never_read(target: Target) -> tuple[int, int]:
    """Sends and takes nothing in, into buffers as small as the system lets them be."""
    address = target.url.removeprefix("http://").split(":")
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (address[0], int(address[1])))
    uri = f"ws://{address[0]}:{address[1]}/v1/stream"
    connection = await connect(uri, sock=own, compression=None, ping_interval=None, max_queue=1, close_timeout=1)
    for token in range(2 * len(target.images)):
        await connection.send(Frame(FRAMES_PER_TOKEN * token, 0.0, target.images[0]).pack())
        await asyncio.sleep(0.01)
    connection.transport.abort()
    return 1, 1


async def _half_message(target: Target) -> tuple[int, int]:
    """Of 4,000 announced bytes a hundred come; then the connection is gone."""
    connection = await _open(target)
    await _hear(connection)
    connection.transport.write(struct.pack("!BBH", 0x82, 0x80 | 126, 4000) + bytes(4) + bytes(100))
    await asyncio.sleep(0.2)
    connection.transport.abort()
    return 1, 1


async def _garbage(target: Target) -> tuple[int, int]:
    noise = np.random.default_rng(0).bytes(3000)
    return await _refused(target, (noise, 1007), (b"", 1007), (_frame_of(noise), 1007), ("text", 1003))


async def _half_images(target: Target) -> tuple[int, int]:
    return await _refused(target, (_frame_of(target.images[0][: len(target.images[0]) // 2]), 1007))


async def _huge_images(target: Target) -> tuple[int, int]:
    wide = _png(np.zeros((16, 9000, 3), np.uint8))
    return await _refused(target, (_frame_of(wide), 1008), (_frame_of(bytes(3 << 20)), 1009))


async def _zero_images(target: Target) -> tuple[int, int]:
    return await _refused(target, (_frame_of(b""), 1008), (_frame_of(_png(np.zeros((1, 1, 3), np.uint8))), 1008))


async def _repeated(target: Target) -> tuple[int, int]:
    return await _numbers(target, 4, 4)


async def _out_of_order(target: Target) -> tuple[int, int]:
    return await _numbers(target, 8, 4)


async def _numbers(target: Target, *seqs: int) -> tuple[int, int]:
    async with _open(target) as connection:
        await _hear(connection)
        for seq in seqs:
            await connection.send(Frame(seq, 0.0, target.images[0]).pack())
        return 1, await _closes(connection, 1008)


async def _refused(target: Target, *messages: tuple[bytes | str, int]) -> tuple[int, int]:
    """Each in a session of its own, after good motion, and the close code that it must bring."""
    well = 0
    for message, code in messages:
        async with _open(target) as connection:
            await _hear(connection)
            await _frame(connection, target, 0)
            with suppress(ConnectionClosed):  # while the rest of a message too large is being sent
                await connection.send(message)
            well += await _closes(connection, code)
    return len(messages), well


async def _closes(connection: ClientConnection, code: int) -> int:
    """1 where the service ends it with this code."""
    try:
        while True:
            await connection.recv(decode=False)
    except ConnectionClosed as closed:
        return int(closed.rcvd is not None and closed.rcvd.code == code)


async def _flood(target: Target) -> tuple[int, int]:
    """All connects at once: each is served or told 1013 at once; those that are served stay until all have heard."""
    connections: list[ClientConnection] = []

    async def one() -> int:
        try:
            async with asyncio.timeout(AT_ONCE_S):
                connections.append(connection := await _open(target))
                message = await _hear(connection)
        except GONE_WRONG:
            return 0
        return int(message["type"] == "hello" or message.get("code") == 1013)

    try:
        return FLOOD, sum(await asyncio.gather(*(one() for _ in range(FLOOD))))
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


def _frame_of(image: bytes) -> bytes:
    return msgpack.packb({"seq": FRAMES_PER_TOKEN, "captured_at": 0.0, "image": image})


def _png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb)[1].tobytes()


FAULTS: dict[str, Fault] = {
    "vanish_and_return": _vanish,
    "vanish": _vanish_for_good,
    "stall": _stall,
    "never_read": _never_read,
    "half_message": _half_message,
    "garbage": _garbage,
    "half_image": _half_images,
    "huge_image": _huge_images,
    "zero_image": _zero_images,
    "repeated_number": _repeated,
    "out_of_order_number": _out_of_order,
    "connects_at_once": _flood,
}
