"""What travels between hyperatom and an engine's process: length-prefixed JSON, floats exact.

One message = eight bytes (its length, little endian) + JSON text. Arrays travel as base64 of their
bytes, so that every float arrives with the bits it left with.
"""

import base64
import json
import socket
import struct
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

Message = dict[str, Any]

_LENGTH = struct.Struct("<Q")


def pack(array: NDArray[Any]) -> Message:
    """An array as JSON-able text, bit for bit."""
    return {
        "type": array.dtype.str,
        "shape": list(array.shape),
        "base64": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }


def unpack(message: Message) -> NDArray[Any]:
    """The array that `pack` was given, in memory of its own."""
    flat = np.frombuffer(base64.b64decode(message["base64"]), dtype=np.dtype(message["type"]))
    return flat.reshape(message["shape"]).copy()


def send(channel: socket.socket, message: Message) -> None:
    """Send one message; the socket's own time-out applies."""
    text = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(text)) + text)


def receive(channel: socket.socket, deadline: float | None = None) -> Message:
    """Wait for one message.

    Raises `EOFError` where the other side is gone and `TimeoutError` where `deadline` (on the clock
    of `time.monotonic`, in s) passes first.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size, deadline))
    message: Message = json.loads(_receive_exactly(channel, length, deadline))
    return message


def _receive_exactly(channel: socket.socket, count: int, deadline: float | None) -> bytearray:
    received = bytearray()
    while len(received) < count:
        if deadline is not None:
            channel.settimeout(max(deadline - time.monotonic(), 1e-6))
        try:
            piece = channel.recv(count - len(received))
        except ConnectionError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        received += piece
    return received
