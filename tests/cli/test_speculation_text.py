"""The line about guessing ahead that people see."""

from edgellm.cli.speculation_text import line
from edgellm.model import SpeculationStatus


def test_off_and_waiting_say_no_more_than_that() -> None:
    assert line(SpeculationStatus()) == "guessing ahead: off"
    waiting = SpeculationStatus(state="waiting", reason="steps have not been timed yet")
    assert line(waiting) == "guessing ahead: waiting; steps have not been timed yet"


def test_everything_that_was_measured_is_told() -> None:
    status = SpeculationStatus(
        state="on",
        step_ms={1: 45.0, 3: 100.0, 16: 300.4},
        draft_ms=27.0,
        acceptance={"ngram": 0.931},
        speedup=1.826,
        rounds=9,
        drafted=130,
        accepted=121,
        saved_ms=2345.0,
    )
    assert line(status) == (
        "guessing ahead: on; 121 of 130 drafted tokens right in 9 rounds; saved 2.3 s; ngram guesses right lately "
        "93 %; expected 1.83x last; ms of a step by rows 1: 45, 16: 300; 27 ms a token of the draft model"
    )


def test_a_loss_is_called_a_cost() -> None:
    assert "cost 0.5 s" in line(SpeculationStatus(state="on", drafted=4, accepted=0, rounds=2, saved_ms=-500.0))
