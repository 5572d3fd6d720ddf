"""No answer takes more memory than it may: it is uncompressed piece by piece, and left where it grows too large.

bounded(8 * 2**20)   the hook of a client, by which every answer of it has at most 8 MiB
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

import httpx2


class TooLargeError(httpx2.DecodingError):
    """An answer is larger than it may be."""


def bounded(limit: int) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook for the responses of an asynchronous client: reading more than ``limit`` bytes raises TooLargeError.

    The client turns that into its own APIConnectionError. The answer is read as UTF-8, as JSON is, whatever encoding
    its headers name.
    """

    async def hook(response: httpx2.Response) -> None:
        sent = httpx2.Response(
            response.status_code, headers=response.headers, stream=response.stream, request=response.request
        )
        response.headers.pop("content-encoding", None)
        response.stream = _Uncompressed(sent, limit)
        response.encoding = "utf-8"

    return hook


class _Uncompressed(httpx2.AsyncByteStream):
    def __init__(self, sent: httpx2.Response, limit: int) -> None:
        self._sent, self._limit = sent, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._sent.aiter_bytes():
            size += len(part)
            if size > self._limit:
                raise TooLargeError(
                    f"the answer has more than {self._limit} bytes; if that is as it should be, set a larger "
                    "max_answer_bytes"
                )
            yield part

    async def aclose(self) -> None:
        await self._sent.aclose()


def lines_of(parts: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
    """The lines of what comes in parts, without their ends; None for one of more than ``limit`` bytes."""
    line: bytearray | None = bytearray()
    for part in parts:
        first, *more = part.split(b"\n")
        line = _longer(line, first, limit)
        for start in more:
            yield None if line is None else bytes(line)
            line = _longer(bytearray(), start, limit)
    if line is None or line:
        yield None if line is None else bytes(line)


def _longer(line: bytearray | None, more: bytes, limit: int) -> bytearray | None:
    if line is None or len(line) + len(more) > limit:
        return None
    line += more
    return line
