"""Tests of the speculation benchmark's data, its pairing and its judgement; nothing is measured."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from scripts.benchmarks import speculation
from scripts.benchmarks.figures import bootstrap
from scripts.benchmarks.servers import Setup
from scripts.benchmarks.speculation import Asked, Found, Plan, every_case, kind_rows, load_rows, paired


def asked(
    how: str, decode_ms: float, *, case: str = "a", kind: str = "poem", round: int = 0, risked: float = 0.0
) -> Asked:
    return Asked(case, kind, how, round, 101, 1000.0, decode_ms, 10, 7, 5.0, risked, "")


def test_there_are_enough_cases_of_every_kind() -> None:
    cases = every_case()
    kinds = {kind: [case for case in cases if case.kind == kind] for kind in {case.kind for case in cases}}
    assert {"long edit", "short edit", "json copy", "quoted answer", "chat", "story", "poem"} <= kinds.keys()
    assert all(len(several) >= 6 for several in kinds.values())
    assert len({case.id for case in cases}) == len({case.text for case in cases}) == len(cases)
    assert all(95 <= case.text.count("\n") <= 310 for case in kinds["long edit"])


def test_a_plan_cuts_kinds_cases_and_answers() -> None:
    plan = Plan(rounds=1, kinds=("poem", "chat"), concurrency=(1,), tokens=50, cases=2)
    chosen = plan.chosen()
    assert [case.kind for case in chosen] == ["chat", "chat", "poem", "poem"]
    assert {case.max_tokens for case in chosen} == {50}


def test_shards_are_all_cases_each_once() -> None:
    whole = Plan(rounds=1, kinds=(), concurrency=(1,), tokens=50, cases=5)
    parts = [replace(whole, shard=(part, 3)).chosen() for part in (1, 2, 3)]
    assert sorted(case.id for part in parts for case in part) == sorted(case.id for case in whole.chosen())
    assert {len(part) for part in parts} <= {len(parts[0]), len(parts[0]) - 1}


def test_further_cases_may_be_conversations(tmp_path: Path) -> None:
    lines = [
        {"id": "x", "kind": "new", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
        {"id": "y", "kind": "poem", "max_tokens": 9, "text": "a rhyme"},
    ]
    (file := tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = {
        case.id: case for case in Plan(rounds=1, kinds=(), concurrency=(1,), tokens=50, cases=50, more=(file,)).chosen()
    }
    assert (found["x"].text, found["x"].kind) == ("hello", "new")
    assert found["y"].text == "a rhyme"


def test_measurements_of_shards_are_joined(tmp_path: Path) -> None:
    files = []
    for name, case, ms in (("a", "one", 500.0), ("b", "two", 1000.0)):
        answers = [asdict(asked("off", 2000, case=case)), asdict(asked("auto", ms, case=case))]
        raw = {"answers": answers, "together": [], "llama-server": {"plain": [
            {"case": case, "kind": "poem", "round": 0, "tps": 25.0}]}}  # fmt: skip
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"speculation": raw}), encoding="utf-8")
    rows, raw = speculation.joined(files)
    assert len(raw["answers"]) == 4
    assert rows[0].ratio is not None and rows[0].ratio.median == pytest.approx(3.0)
    assert rows[-1].ratio is not None


def test_speedups_are_those_of_the_same_case_and_round() -> None:
    on = [asked("auto", 1000), asked("auto", 500, case="b"), asked("auto", 100, round=1)]
    off = [asked("off", 2000), asked("off", 500, case="b")]
    assert paired(on, off) == [2.0, 1.0]


def test_rows_judge_speed_and_loss_account() -> None:
    answers = [asked("off", 2000), asked("auto", 1980, risked=29.0), asked("off", 900, kind="json copy")]
    answers.append(asked("auto", 300, kind="json copy", risked=20.0))
    poem, poem_account, json, json_account = kind_rows(answers, {})
    assert poem.met and poem.ratio is not None and poem.ratio.median == pytest.approx(2000 / 1980)
    assert poem_account.met and poem_account.ours == "0.97 %"
    assert json.met and json.target == ">= 2.00x"
    assert not json_account.met


def test_a_rivals_row_pairs_by_case_and_round() -> None:
    theirs = {"ngram-mod": [{"case": "a", "kind": "poem", "round": 0, "tps": 25.0}]}
    rows = kind_rows([asked("off", 2000), asked("auto", 2000)], theirs)
    assert rows[-1].name == "poem: against llama-server, ngram-mod"
    assert rows[-1].ratio is not None and rows[-1].ratio.median == pytest.approx(2.0)


def test_loads_are_paired_by_round() -> None:
    loads = [
        {"round": n, "at_once": 4, "how": how, "tps": tps}
        for n, how, tps in [(0, "off", 10.0), (0, "auto", 12.0), (1, "off", 9.0)]
    ]
    (row,) = load_rows(loads)
    assert row.met and row.ratio is not None and row.ratio.median == pytest.approx(1.2)


def test_a_bootstrap_interval_holds_the_median_and_narrows() -> None:
    few, many = bootstrap([1.0, 2.0, 3.0]), bootstrap([1.0, 2.0, 3.0] * 40)
    assert bootstrap([]) is None
    assert few is not None and many is not None
    assert few.low <= few.median == many.median == 2.0 <= few.high
    assert many.high - many.low <= few.high - few.low


def test_marks_are_set_for_kinds_that_exist() -> None:
    assert speculation.MARKS.keys() <= {case.kind for case in every_case()}


def test_what_was_measured_before_an_interruption_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(setup: Setup, plan: Plan, draft: Path | None, found: Found) -> None:
        found.answers += [asked("off", 2000), asked("auto", 1000)]
        raise KeyboardInterrupt

    monkeypatch.setattr(speculation, "_ours", interrupted)
    setup = Setup(model=Path("model.gguf"), threads=2, context=512, parallel=1)
    rows, raw = speculation.measure(setup, Plan(rounds=5, kinds=(), concurrency=(1,), tokens=9, cases=9), None)
    assert len(raw["answers"]) == 2
    assert rows[0].ratio is not None and rows[0].ratio.median == pytest.approx(2.0)
