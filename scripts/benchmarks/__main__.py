"""`python -m scripts.benchmarks WHAT`, as `--help` lists it: measures.

llama-server is not part of edgellm. To compare, build it from the source that llama-cpp-python was built of:

  pip download --no-deps --no-binary :all: llama-cpp-python==VERSION     (VERSION as in pyproject.toml; then unpack it)
  cmake -S vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_OPENSSL=OFF \\
        -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
  cmake --build build --target llama-server

and name build/bin/llama-server with --llama-server. Let nothing else run meanwhile.

`backends` compares one model in three formats; scripts/make_folders.py makes two of them, and `all` leaves it out.
`replay` goes through what `speculation --json` wrote again, on a clock of its own: the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from edgellm.backends import ik
from edgellm.download.store import Store
from edgellm.errors import EdgeLLMError
from scripts import test_models
from scripts.benchmarks import (
    backends,
    chat_app,
    computer,
    fit,
    libraries,
    replay,
    serving,
    speculation,
    startup,
    step_cost,
    structured,
)
from scripts.benchmarks.client import Refused
from scripts.benchmarks.servers import DidNotStart, Setup
from scripts.benchmarks.table import Row, render

Section = tuple[list[Row], dict[str, Any]]
_FIT_MODELS = ("smollm2", "gemma-270m", "qwen-0.5b", "qwen-1.5b")
_QUICK = "a few runs of each, to see whether it works; the numbers mean little"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    facts = computer.describe() | _facts_of(options)
    for name, words in facts.items():
        print(f"{name + ':':14s}{words}", flush=True)
    every = () if options.what != "all" else set(_SECTIONS) - {"backends", "replay"}
    sections = {name: measure(options) for name, measure in _SECTIONS.items() if options.what == name or name in every}
    rows = [row for more, _ in sections.values() for row in more]
    print(f"\n{render(rows)}")
    if options.json:
        raw = {name: measured for name, (_, measured) in sections.items()}
        written = {"facts": facts, "table": [asdict(row) for row in rows], **raw}
        options.json.write_text(json.dumps(written, indent=1), encoding="utf-8")
    return 0


def _step(options: argparse.Namespace) -> Section:
    directory = test_models.directory().parent / "benchmarks"
    return step_cost.measure(directory, 20 if options.quick else options.steps, options.threads)


def _serving(options: argparse.Namespace) -> Section:
    setup = Setup(
        model=_model_file(options.model),
        threads=options.threads,
        context=options.context,
        parallel=max(16, *options.concurrency),
        llama_server=options.llama_server,
        backend=options.backend,
        extra=tuple(shlex.split(options.llama_server_options)),
    )
    plan = serving.Plan(
        rounds=options.rounds,
        concurrency=options.concurrency,
        tokens=options.tokens,
        cases=options.cases,
        questions=options.questions,
    )
    return serving.measure(setup, replace(plan, rounds=1, tokens=8, cases=4) if options.quick else plan)


def _startup(options: argparse.Namespace) -> Section:
    return startup.measure(3 if options.quick else options.runs)


def _tui(options: argparse.Namespace) -> Section:
    return chat_app.measure(3 if options.quick else options.runs)


def _speculation(options: argparse.Namespace) -> Section:
    if options.join:
        return speculation.joined(options.join)
    setup = Setup(
        model=_model_file(options.model),
        threads=options.threads,
        context=options.context,
        parallel=max(options.concurrency),
        llama_server=options.llama_server,
        backend=options.backend,
        extra=tuple(shlex.split(options.llama_server_options)),
    )
    plan = speculation.Plan(
        rounds=options.rounds,
        kinds=options.kinds,
        concurrency=options.concurrency,
        tokens=options.tokens,
        cases=options.cases,
        shard=options.shard,
        more=options.more_cases,
        rival_rounds=options.rival_rounds,
    )
    draft = _model_file(options.draft) if options.draft else None
    return speculation.measure(setup, replace(plan, rounds=1, tokens=24, cases=1) if options.quick else plan, draft)


def _replay(options: argparse.Namespace) -> Section:
    return replay.measure(
        _model_file(options.model),
        options.answers,
        options.steps,
        rounds=options.rounds,
        scatter=options.scatter,
        stalls=options.stalls,
        new_prompts=options.new_prompts,
    )


def _structured(options: argparse.Namespace) -> Section:
    model, threads = _model_file(options.model), options.threads
    setup = Setup(model=model, threads=threads, context=options.context, parallel=1)
    rounds, cases = (1, 1) if options.quick else (options.rounds, options.cases)
    return structured.measure(setup, rounds, cases)


def _libraries(options: argparse.Namespace) -> Section:
    if options.what == "all" and ik.installed() != ik.VERSION:
        return [], {}
    plan = libraries.Plan(tokens=options.text)
    quick = replace(plan, tokens=256, prompts=1, answer=8)
    return libraries.measure(_model_file(options.model), options.threads, quick if options.quick else plan)


def _fit(options: argparse.Namespace) -> Section:
    models = {name: _model_file(name) for name in options.models}
    contexts = options.contexts[:1] if options.quick else options.contexts
    return fit.measure(models, contexts, options.threads, options.words)


def _backends(options: argparse.Namespace) -> Section:
    models = [_model_file(name) for name in ("smollm2", *options.folders)]
    cases, tokens = (2, 4) if options.quick else (options.cases, options.tokens)
    return backends.measure(models, options.threads, cases, tokens, options.text)


_SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "step": _step,
    "serving": _serving,
    "startup": _startup,
    "speculation": _speculation,
    "replay": _replay,
    "tui": _tui,
    "structured": _structured,
    "fit": _fit,
    "backends": _backends,
    "libraries": _libraries,
}


@cache
def _model_file(name: str) -> Path:
    """The file `name`, or the test model of that name, fetched if need be. Raises EdgeLLMError."""
    found = test_models.models().resolve(name)
    if isinstance(found, Path):
        return found.absolute()
    test_models.fetch(found)
    return Store(test_models.directory()).path(found)


def _facts_of(options: argparse.Namespace) -> dict[str, str]:
    facts = {"command": f"scripts/bench {shlex.join(sys.argv[1:])}"}
    if options.what not in ("startup", "tui", "replay"):
        facts["threads"] = str(options.threads)
    if options.what == "libraries":
        facts["model"] = _model_file(options.model).name
    if options.what in ("serving", "speculation", "structured", "all") and not getattr(options, "join", ()):
        facts["model"] = f"{_model_file(options.model).name}, with a context of {options.context} tokens"
        if options.llama_server:
            facts["llama-server"] = computer.version_of(options.llama_server)
    return facts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    everything = commands.add_parser("all", help="all of the below")
    step = commands.add_parser("step", help="host cost of an engine step outside llama_decode")
    served = commands.add_parser("serving", help="first token, decoding, load and memory, against llama-server")
    start = commands.add_parser("startup", help="edgellm --help against a bare Typer app")
    guessed = commands.add_parser("speculation", help="guessing ahead, on against off, by kind of text")
    again = commands.add_parser("replay", help="what speculation makes of recorded answers, on a clock of its own")
    formed = commands.add_parser("structured", help="decoding under a JSON schema, against without")
    planned = commands.add_parser("fit", help="memory and speed as predicted, against real runs")
    formats = commands.add_parser("backends", help="SmolLM2 on llama.cpp, and on the libraries of the folders named")
    drawn = commands.add_parser("tui", help="the chat app: first paint, CPU while it streams, long conversations, keys")
    forked = commands.add_parser("libraries", help="ik_llama.cpp against llama.cpp: perplexity, greedy tokens")
    for command in (everything, step, served, start, guessed, again, formed, planned, formats, drawn, forked):
        command.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured there")
        command.add_argument("--quick", action="store_true", help=_QUICK)
    for command in (everything, step):
        command.add_argument("--steps", type=_count, default=500, help="steps of each kind (500)")
    for command in (everything, served, guessed, formed):
        _add_serving(command)
    for command in (everything, guessed):
        command.add_argument("--kinds", type=_words, default=(), metavar="KIND,KIND", help="kinds of text (all)")
        command.add_argument("--draft", default="", metavar="NAME|PATH", help="a draft model (none)")
        command.add_argument(
            "--shard", type=_shard, default=(1, 1), metavar="I/N", help="every N-th case from the I-th on"
        )
        command.add_argument(
            "--more-cases", type=_files, default=(), metavar="FILE,FILE", help="JSON lines of more cases"
        )
        command.add_argument("--rival-rounds", type=_count, default=2, help="rounds for llama-server at most (2)")
        command.add_argument("--join", type=_files, default=(), metavar="FILE,FILE", help="one table of --json files")
    _add_backends(formats)
    again.add_argument("answers", type=_file, metavar="FILE", help="what `speculation --json` wrote")
    again.add_argument("--model", default="qwen-1.5b", metavar="NAME|PATH", help="the model that answered (qwen-1.5b)")
    again.add_argument("--steps", type=_step_times, metavar="ROWS:MS,ROWS:MS", help="of other steps than FILE's")
    again.add_argument("--rounds", type=_count, default=1, help="through all answers, in an order of its own each (1)")
    again.add_argument("--scatter", type=float, default=0.0, help="standard deviation of the logarithms of steps (0)")
    again.add_argument("--stalls", type=float, default=0.0, help="part of steps that take 1.5 to 4 times as long (0)")
    again.add_argument("--new-prompts", action="store_true", help="as if no prompt had been computed before")
    guessed.set_defaults(concurrency=(1,), rounds=5)
    for command in (everything, planned):
        add = command.add_argument
        add("--models", type=_words, default=_FIT_MODELS, metavar="NAME,NAME", help="test models or GGUF files (all)")
        add("--contexts", type=_levels, default=(2048, 8192, 32768), metavar="N,N", help="(2048,8192,32768)")
        add("--words", type=_count, default=1400, help="of a prompt at most; more take long, and more memory (1400)")
    for command in (everything, served):
        command.add_argument(
            "--questions", type=_files, default=(), metavar="FILE,FILE", help="JSON lines to ask many at a time (ours)"
        )
    forked.add_argument("--model", default="qwen-1.5b", metavar="NAME|PATH", help="a test model or a GGUF file")
    for command in (everything, forked):
        command.add_argument("--text", type=_count, default=2048, help="tokens of the text for perplexity (2048)")
    for command in (everything, step, served, guessed, formed, planned, formats, forked):
        command.add_argument("--threads", type=_count, default=_threads(), help="threads that compute (one a core)")
    for command in (everything, start, drawn):
        command.add_argument("--runs", type=_count, default=15, help="runs of each program (15)")
    return parser


def _add_backends(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("folders", nargs="*", metavar="FOLDER", help="of the same model, for MLX or ONNX Runtime")
    add("--cases", type=_count, default=20, help="questions (20)")
    add("--tokens", type=_count, default=16, help="of each answer (16)")
    add("--text", type=_count, default=192, help="tokens of the text whose perplexity is computed (192)")


def _add_serving(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", default="qwen-1.5b", metavar="NAME|PATH", help="a test model or a GGUF file (qwen-1.5b)")
    add("--llama-server", type=_program, metavar="PATH", help="the program to compare with; without, edgellm alone")
    add("--llama-server-options", default="", metavar="TEXT", help="further options for it, as one word")
    add("--backend", default="llama.cpp", metavar="NAME", help="edgellm's own: llama.cpp or ik (llama.cpp)")
    add("--rounds", type=_count, default=3, help="rounds over everything (3)")
    add("--tokens", type=_count, default=1_000_000, help="answers are cut there, to save time (as the prompts ask)")
    add("--cases", type=_count, default=1_000_000, help="prompts of each kind of run, to save time (all)")
    add("--context", type=_count, default=8192, metavar="TOKENS", help="of KV cache, for all sequences (8192)")
    add("--concurrency", type=_levels, default=(1, 8, 16), metavar="N,N", help="requests at once (1,8,16)")


def _levels(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _files(text: str) -> tuple[Path, ...]:
    return tuple(_file(part) for part in _words(text))


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return path


def _step_times(text: str) -> dict[int, float]:
    """Milliseconds by rows, as `1:45,2:77`; one row must be among them."""
    pairs = (part.split(":") for part in _words(text))
    times = {_count(rows): float(milliseconds) for rows, milliseconds in pairs}
    if 1 not in times or len(times) < 2 or min(times.values()) <= 0:
        raise ValueError(text)
    return times


def _shard(text: str) -> tuple[int, int]:
    part, parts = (_count(number) for number in text.split("/"))
    if part > parts:
        raise ValueError(text)
    return part, parts


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _program(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no program {path}")
    return path


def _threads() -> int:
    from edgellm.machine.machine import detect

    return detect().threads


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EdgeLLMError, Refused, DidNotStart) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
