"""The one thread that touches native contexts: it builds the engine, steps it, and posts one list of updates a step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from edgellm.engine.engine import Engine
from edgellm.engine.sequence import Job, Update
from edgellm.errors import EdgeLLMError
from edgellm.telemetry import log

Deliver = Callable[[list[Update]], None]


class EngineThread:
    """Owns an `Engine` from its building to its closing; every method may be called from any thread.

    `deliver` is called on the engine's thread and must not block. `build` may take long and may raise. `crashed` hears
    of an error that no request is to blame for (a bug of ours); the thread is gone then.
    """

    def __init__(self, build: Callable[[], Engine], deliver: Deliver, crashed: Callable[[BaseException], None]) -> None:
        self._build = build
        self._deliver = deliver
        self._crashed = crashed
        self._inbox: queue.SimpleQueue[Job | int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="edgellm-engine", daemon=True)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._engine: Engine | None = None

    def start(self) -> Engine:
        """Build the engine there and wait for it (a blocking call). Raises what `build` raised.

        Of the engine returned, only what never changes (`backend.info`, `vocabulary`, `limits`) and the counters
        may be read from here.
        """
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        assert self._engine is not None
        return self._engine

    def submit(self, job: Job) -> None:
        """Queue a job; a refusal comes back as an `Update` with an error."""
        self._inbox.put(job)

    def cancel(self, id: int) -> None:
        """Takes effect before the next step."""
        self._inbox.put(id)

    def stop(self) -> None:
        """Finish the step under way, close the backend, and wait for that. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join()

    # -- on the thread ------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._engine = self._build()
        except BaseException as error:
            self._error = error
            return
        finally:
            self._ready.set()
        try:
            self._loop(self._engine)
        except Exception as error:
            log.get("engine").error("the engine failed", exc_info=True)
            self._crashed(error)
        finally:
            self._engine.close()

    def _loop(self, engine: Engine) -> None:
        while self._take(engine):
            if engine.busy and (updates := engine.step()):
                self._deliver(updates)

    def _take(self, engine: Engine) -> bool:
        """Everything in the inbox, waiting for the first when there is nothing to do; False to stop."""
        block = not engine.busy and not engine.tidy()
        while True:
            try:
                item = self._inbox.get(block)
            except queue.Empty:
                return True
            if item is None:
                return False
            if isinstance(item, Job):
                self._submit(engine, item)
            else:
                engine.cancel(item)
            block = False

    def _submit(self, engine: Engine, job: Job) -> None:
        try:
            engine.submit(job)
        except EdgeLLMError as error:
            self._deliver([Update(job.id, error=error)])
