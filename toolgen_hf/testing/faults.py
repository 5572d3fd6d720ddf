"""Responses that break off: what a client sees of a server or a network that fails."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from aiohttp import web

from toolgen_hf.testing.messages import Fault

_ARRIVE = 0.02  # seconds for the half that was sent to be read, before a reset would discard it


class Broken(web.StreamResponse):
    """Sends nothing, or half of the body that its headers promise, and ends the connection."""

    def __init__(self, fault: Fault, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__()
        head = {**headers, "Content-Length": str(len(body)), "Connection": "keep-alive"}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in head.items())]
        self._fault = fault
        self._sent = "\r\n".join([*lines, "\r\n"]).encode() + body[: len(body) // 2]

    async def prepare(self, request: web.BaseRequest) -> Any:
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError("the client has gone")
        if self._fault != "reset":
            transport.write(self._sent)
        if self._fault == "truncate":
            transport.close()
        else:
            await asyncio.sleep(0 if self._fault == "reset" else _ARRIVE)
            linger = struct.pack("ii", 1, 0)  # close by RST, not by FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        raise ConnectionResetError("as scripted")  # tells aiohttp.web that the response is over
