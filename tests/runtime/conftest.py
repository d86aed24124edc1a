"""Fixtures for worker processes: models of scripted behaviour, and proof that nothing of them is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from edgellm.runtime.process_model import ProcessModel, WorkerSpec
from tests.doubles.waiting import until

MakeModel = Callable[..., ProcessModel]


@pytest.fixture
async def no_leftovers() -> AsyncIterator[None]:
    """No process, task or thread outlives the test."""
    before = set(psutil.Process().children(recursive=True))
    yield
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks
    children = set(psutil.Process().children(recursive=True)) - before
    assert not children
    await until(lambda: not any(thread.name.startswith("edgellm-pipe") for thread in threading.enumerate()))


@pytest.fixture
async def scripted(no_leftovers: None) -> AsyncIterator[MakeModel]:
    """Makes a `ProcessModel` of `tests.doubles.scripted` with the options given, closed at the end."""
    made: list[ProcessModel] = []

    def make(log: Any = None, stand_in: Any = None, **options: Any) -> ProcessModel:
        spec = WorkerSpec("tests.doubles.scripted:make", options)
        made.append(ProcessModel(spec, log=log, stand_in=stand_in))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()
