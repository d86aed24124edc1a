"""`python -m scripts.benchmarks.soak`: many streaming clients, half of whom hang up at random, for as long as asked.

Exits 1 when afterwards the server still works on something or has grown by a quarter, or when an answer went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from scripts.benchmarks.servers import EDGELLM, Server, Setup, started

_GROWTH = 1.25
_QUIET_S = 30.0


@dataclass
class Told:
    """What the clients saw; `waits` are seconds until the first piece of an answer."""

    waits: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


async def client(http: httpx.AsyncClient, model: str, end: float, seed: int, told: Told) -> None:
    """Ask and listen, again and again; half of the answers are left before their end."""
    chance = random.Random(seed)
    while time.monotonic() < end:
        leaves = chance.random() < 0.5
        patience = chance.choice([0, 1, 3, 10]) if leaves else 10**9
        words = " ".join(chance.choice(["river", "stone", "cloud", "lamp"]) for _ in range(chance.randrange(1, 80)))
        body = {"model": model, "stream": True, "max_tokens": chance.randrange(1, 48)}
        body["messages"] = [{"role": "user", "content": f"Say something about: {words}"}]
        begin = time.monotonic()
        try:
            async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
                if reply.status_code != 200:
                    told.add(str(reply.status_code))
                    await asyncio.sleep(0.2)
                    continue
                told.add(await listen(reply, patience, begin, told))
        except httpx.HTTPError as error:
            told.add(type(error).__name__)


async def listen(reply: httpx.Response, patience: int, begin: float, told: Told) -> str:
    seen = 0
    async for line in reply.aiter_lines():
        if not line.startswith("data: "):
            continue
        seen += 1
        if seen == 1:
            told.waits.append(time.monotonic() - begin)
        if seen > patience:
            return "left"
        if line == "data: [DONE]":
            return "whole"
        if "error" in json.loads(line[6:]):
            return "error in the stream"
    return "cut"


def resident(pid: int) -> dict[str, int]:
    """Bytes that the server, and those it started, hold in memory."""
    process = psutil.Process(pid)
    workers = sum(child.memory_info().rss for child in process.children(recursive=True))
    return {"server": process.memory_info().rss, "workers": workers}


async def load(http: httpx.AsyncClient) -> tuple[dict[str, Any], int]:
    """The load of the one model, and how many HTTP requests are in progress besides the one that asks."""
    (status,) = (await http.get("/health")).json()["models"].values()
    text = (await http.get("/metrics")).text
    active = next(line for line in text.splitlines() if line.startswith("edgellm_http_requests_active "))
    return status, int(float(active.split()[1])) - 1


async def soak(server: Server, clients: int, seconds: float) -> tuple[Told, dict[str, Any]]:
    limits = httpx.Limits(max_connections=clients + 4)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=600, limits=limits) as http:
        model = (await http.get("/v1/models")).json()["data"][0]["id"]
        await asyncio.gather(*(client(http, model, time.monotonic() + seconds / 10, i, Told()) for i in range(clients)))
        before = resident(server.pid)
        told, end = Told(), time.monotonic() + seconds
        await asyncio.gather(*(client(http, model, end, 1000 + i, told) for i in range(clients)))
        limit = time.monotonic() + _QUIET_S
        status, active = await load(http)
        while (status["running"] or status["waiting"] or active) and time.monotonic() < limit:
            await asyncio.sleep(0.2)
            status, active = await load(http)
        return told, {"before": before, "after": resident(server.pid), "status": status, "active": active}


def problems(told: Told, found: dict[str, Any]) -> list[str]:
    said = []
    status = found["status"]
    if status["running"] or status["waiting"] or found["active"]:
        said.append("work goes on though nobody waits for it")
    for name, bytes_ in found["before"].items():
        if found["after"][name] > _GROWTH * bytes_:
            said.append(f"{name}: {bytes_ / 1e6:.0f} MB became {found['after'][name] / 1e6:.0f} MB")
    odd = {outcome: count for outcome, count in told.outcomes.items() if outcome not in ("whole", "left", "429")}
    if odd:
        said.append(f"answers that went wrong: {odd}")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long, after a tenth of it to warm up")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--model", type=Path, help="a GGUF file; SmolLM2 of the test models if not given")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    options = parser.parse_args()
    model = options.model or _smollm2()
    setup = Setup(model=model, threads=options.threads, context=16_384, parallel=16)
    with started(setup, EDGELLM) as server:
        server.wait_until_ready()
        told, found = asyncio.run(soak(server, options.clients, options.seconds))
    waits = sorted(told.waits)
    print(f"answers     {told.outcomes}")
    print(f"first piece median {waits[len(waits) // 2]:.2f} s, worst {waits[-1]:.2f} s")
    for name in found["before"]:
        print(f"{name:11s} {found['before'][name] / 1e6:.0f} MB before, {found['after'][name] / 1e6:.0f} MB after")
    status = found["status"]
    print(f"left        {status['running']} running, {status['waiting']} waiting, {status['cells_used']} KV cells kept")
    said = problems(told, found)
    print("\n".join(f"problem: {each}" for each in said) or "no problem")
    return 1 if said else 0


def _smollm2() -> Path:
    from scripts.benchmarks.__main__ import _model_file

    return _model_file("smollm2")


if __name__ == "__main__":
    sys.exit(main())
