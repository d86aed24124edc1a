"""Tests of the parts of `scripts/bench` that measure nothing: statistics, prompts, parsing, and judging of targets."""

import io

import pytest

from scripts.benchmarks import footprint, prompts, serving, startup
from scripts.benchmarks.client import Answer, Refused, chunks, timed
from scripts.benchmarks.figures import Spread, median, quantile, ratios, spread
from scripts.benchmarks.prompts import Case
from scripts.benchmarks.servers import EDGELLM, LLAMA_SERVER, Setup
from scripts.benchmarks.serving import Pass
from scripts.benchmarks.step_cost import Cost, NativeClock
from scripts.benchmarks.table import Row, render

MIB = 2**20
CASE = Case("one", "short", "Why?", 8)


def test_quantiles_lie_between_the_nearest_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([0.0, 10.0], 0.9) == pytest.approx(9.0)
    assert quantile([4.0], 0.9) == 4.0


def test_what_was_not_measured_is_left_out() -> None:
    assert ratios([(2.0, 1.0), (None, 1.0), (1.0, None), (3.0, 0.0)]) == [2.0]
    assert median([None, 1.0, 3.0]) == 2.0
    assert median([None]) is None
    assert spread([]) is None
    assert spread([1.0, 5.0, 2.0]) == Spread(2.0, 1.0, 5.0)


def test_a_salt_makes_every_prompt_new_from_its_first_word_on() -> None:
    cases = [*prompts.single(), *prompts.load()]
    first, second = prompts.salted(cases, "1/8"), prompts.salted(cases, "2/8")
    assert all(a.text.startswith("[1/8] ") and a.text[:6] != b.text[:6] for a, b in zip(first, second, strict=True))
    assert [case.text for case in cases] == [case.text.removeprefix("[1/8] ") for case in first]
    assert len({case.id for case in cases}) == len({case.text for case in cases}) == len(cases)


def test_shortened_cases_never_grow() -> None:
    assert {case.max_tokens for case in prompts.shortened(prompts.load(), 8)} == {8}
    assert prompts.shortened(prompts.load(), 10_000) == prompts.load()


def test_events_are_read_up_to_the_end_mark() -> None:
    body = io.BytesIO(b': hello\n\ndata: {"a": 1}\r\n\r\ndata:{"b": ": x"}\n\ndata: [DONE]\n\ndata: {"c": 3}\n')
    assert list(chunks(body)) == [{"a": 1}, {"b": ": x"}]


def said(text: str | None, **more: object) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text} if text is not None else {"role": "assistant"}}], **more}


def test_an_answer_is_timed_from_its_first_text() -> None:
    times = iter([12.0, 13.0, 14.0, 15.0])
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}}
    stream = [said(None), said("a"), said(""), said("b"), said("c"), usage]
    answer = timed(CASE, stream, 10.0, lambda: next(times))
    assert answer == Answer("one", "short", 2.0, 4.0, 5.0, 5, 9)


def test_one_piece_of_text_has_no_speed() -> None:
    answer = timed(CASE, [said("all", usage={"completion_tokens": 3})], 0.0, lambda: 1.0)
    assert answer.decode_tps is None
    assert answer.ttft_s == answer.total_s == 1.0


@pytest.mark.parametrize("stream", [[said("a")], [said("a"), {"error": {"message": "no"}}]])
def test_an_answer_that_cannot_be_counted_is_refused(stream: list[dict[str, object]]) -> None:
    with pytest.raises(Refused):
        timed(CASE, stream, 0.0, lambda: 1.0)


def test_servers_take_turns_at_going_first() -> None:
    assert [serving.in_turn("ab", turn) for turn in range(3)] == [["a", "b"], ["b", "a"], ["a", "b"]]


def test_both_servers_get_the_same_sizes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("scripts.benchmarks.servers._optional", lambda program: ("--no-webui",))
    sizes = {"threads": 3, "context": 4096, "parallel": 16}
    setup = Setup(model=tmp_path / "m.gguf", llama_server=tmp_path / "ls", extra=("--extra",), **sizes)
    ours, theirs = (" ".join(setup.command(name, 80)) for name in setup.names)
    assert "--threads 3 --context 4096 --parallel 16" in ours and "--extra" not in ours
    assert theirs.endswith("-t 3 -c 4096 -np 16 --no-webui --extra")
    assert all(f"--port 80 --host 127.0.0.1 -m {tmp_path / 'm.gguf'}" in command for command in (ours, theirs))


def test_others_may_be_asked_in_place_of_our_questions(tmp_path) -> None:
    file = tmp_path / "load.jsonl"
    file.write_text(
        '{"id": "x", "kind": "load", "max_tokens": 64, "messages": [{"role": "user", "content": "Why?"}]}\n'
    )
    plan = serving.Plan(rounds=1, concurrency=(8,), tokens=16, questions=(file,))
    assert plan.load() == [Case("x", "load", "Why?", 16)]
    assert len(serving.Plan(rounds=1, concurrency=(8,)).load()) == len(prompts.load())


def passed(server: str, number: int, concurrency: int, ttft_s: float, decode_tps: float, wall_s: float) -> Pass:
    return Pass(server, number, concurrency, [Answer("c", "short", ttft_s, decode_tps, 1.0, 5, 64)], wall_s)


def test_pairs_are_judged_against_the_targets() -> None:
    passes = [
        passed(EDGELLM, 0, 1, 0.120, 98.0, 1.0),
        passed(LLAMA_SERVER, 0, 1, 0.100, 100.0, 1.0),
        passed(LLAMA_SERVER, 1, 1, 0.100, 100.0, 1.0),
        passed(EDGELLM, 1, 1, 0.130, 96.0, 1.0),
        passed(EDGELLM, 0, 8, 0.1, 1.0, 2.0),
        passed(LLAMA_SERVER, 0, 8, 0.1, 1.0, 1.0),
    ]
    first, decode, load = serving.speed_rows(passes)
    assert (first.ours, first.theirs, first.met) == ("125 ms", "100 ms", True)
    assert first.ratio == pytest.approx((1.25, 1.2, 1.3))
    assert decode.ratio == pytest.approx((0.97, 0.96, 0.98)) and decode.met
    assert (load.ours, load.theirs, load.met) == ("32.0 tok/s", "64.0 tok/s", False)


def test_one_server_alone_is_told_but_not_judged() -> None:
    rows = serving.speed_rows([passed(EDGELLM, 0, 1, 0.1, 50.0, 1.0), passed(EDGELLM, 0, 8, 0.1, 50.0, 1.0)])
    assert [(row.theirs, row.ratio, row.met) for row in rows] == [("-", None, None)] * 3


def test_memory_is_judged_by_ratio_and_difference() -> None:
    within = serving.memory_row({EDGELLM: 1250 * MIB, LLAMA_SERVER: 1000 * MIB})
    beyond = serving.memory_row({EDGELLM: 1251 * MIB, LLAMA_SERVER: 1000 * MIB})
    assert within.met and not beyond.met
    assert within.ours == "1,250 MiB (+250 MiB)"
    unknown = serving.memory_row({EDGELLM: None, LLAMA_SERVER: None})
    assert (unknown.ours, unknown.met) == ("n/a", None)


def test_memory_of_a_process_that_is_gone_is_unknown() -> None:
    assert footprint.pss(2**30) is None


@pytest.mark.parametrize(("sampling", "vocabulary", "met"), [("greedy", 512, False), ("sampled", 512, None)])
def test_only_greedy_steps_have_a_target(sampling: str, vocabulary: int, met: bool | None) -> None:
    row = Cost(sampling, vocabulary, 1, [0.4, 0.6, 0.8], [0.1]).row()
    assert row.ours.startswith("0.600 ms (p90 0.760)") and row.met is met


def test_a_native_clock_passes_everything_through_and_counts_failures_too() -> None:
    clock = NativeClock(lambda a, b: a // b)
    assert clock(7, 2) == 3
    before = clock.seconds
    with pytest.raises(ZeroDivisionError):
        clock(1, 0)
    assert clock.seconds > before > 0


def test_native_libraries_are_found_in_the_report_of_imports() -> None:
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       100 |        100 |   typer.main\n"
        "noise\nimport time:       1 |  2 |     llama_cpp.llama_cpp\nimport time: 1 | 2 | numpylike\n"
    )
    assert startup.imported(report) == ["typer.main", "llama_cpp.llama_cpp", "numpylike"]
    assert startup.natives(startup.imported(report)) == ["llama_cpp"]


def test_the_table_has_straight_columns() -> None:
    rows = [Row(name="a", ours="1 ms"), Row(name="longer", ours="2 ms", target="<= 1 ms", met=False)]
    title, rule, first, second = render(rows).splitlines()
    assert rule.split("  ")[0] == "-" * len("measurement")
    assert title.index("edgellm") == first.index("1 ms") == second.index("2 ms")
    assert second.endswith("NO")
