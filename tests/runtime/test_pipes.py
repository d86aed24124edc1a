"""Pipes: everything arrives in order, whether or not the reader keeps up, and nobody is blocked meanwhile."""

from __future__ import annotations

import asyncio
import os
from io import FileIO

import pytest

from edgellm.runtime.pipes import PipeWriter, start_reader
from tests.doubles.waiting import until

DIRECT = [False, True] if os.name == "posix" else [False]


def pipe() -> tuple[FileIO, FileIO]:
    reading, writing = os.pipe()
    return FileIO(reading, "rb"), FileIO(writing, "wb")


class Received:
    """What a reader thread hands over, and whether it came to the end."""

    def __init__(self, source: FileIO) -> None:
        self.data = bytearray()
        self.ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        start_reader(source, loop, self.data.extend, lambda: loop.call_soon_threadsafe(self.ended.set))


@pytest.mark.parametrize("direct", DIRECT)
async def test_more_than_a_pipe_holds_arrives_in_order(direct: bool) -> None:
    source, target = pipe()
    writer = PipeWriter(target, direct)
    pieces = [bytes([number % 251]) * (1 + number * 37 % 5000) for number in range(1000)]
    for piece in pieces[:500]:  # nobody reads: far more than the pipe's buffer
        writer.write(piece)
    received = Received(source)
    for piece in pieces[500:]:
        writer.write(piece)
        await asyncio.sleep(0)
    writer.close()
    await received.ended.wait()
    assert received.data == b"".join(pieces)


@pytest.mark.parametrize("direct", DIRECT)
async def test_a_writer_works_again_after_a_jam(direct: bool) -> None:
    source, target = pipe()
    writer = PipeWriter(target, direct)
    writer.write(b"a" * 300_000)
    received = Received(source)
    await until(lambda: len(received.data) == 300_000)
    writer.write(b"end")
    writer.close()
    await received.ended.wait()
    assert received.data.endswith(b"aend")


@pytest.mark.parametrize("direct", DIRECT)
async def test_a_reader_that_left_is_no_error(direct: bool) -> None:
    source, target = pipe()
    writer = PipeWriter(target, direct)
    source.close()
    writer.write(b"x" * 300_000)
    writer.write(b"y")
    writer.close()
    writer.join(10)
    assert target.closed


async def test_close_is_idempotent_and_later_writes_go_nowhere() -> None:
    source, target = pipe()
    writer = PipeWriter(target)
    writer.write(b"kept")
    writer.close()
    writer.close()
    writer.write(b"dropped")
    received = Received(source)
    await received.ended.wait()
    assert received.data == b"kept"


def test_a_reader_whose_loop_is_closed_ends() -> None:
    source, target = pipe()
    ended: list[bool] = []
    loop = asyncio.new_event_loop()
    loop.close()
    target.write(b"x")
    start_reader(source, loop, lambda data: None, lambda: ended.append(True))
    asyncio.run(until(lambda: bool(ended)))
    assert source.closed
    target.close()
