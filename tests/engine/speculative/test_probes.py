"""Probes come soon at first and then ever more rarely."""

from edgellm.engine.speculative.probes import FIRST, RAREST, Probes


def gaps(outcomes: str) -> list[int]:
    """Rounds before each probe, where each ends as its letter says: succeeded or failed."""
    probes, found = Probes(), []
    for outcome in outcomes:
        waited = 1
        while not probes.due():
            waited += 1
        found.append(waited)
        (probes.succeeded if outcome == "s" else probes.failed)()
    return found


def test_failures_double_the_gap_up_to_a_limit() -> None:
    assert gaps("f" * 10) == [4, 8, 16, 32, 64, 128, 256, 512, 512, 512]
    assert (FIRST, RAREST) == (4, 512)


def test_success_begins_anew() -> None:
    assert gaps("ffsff") == [4, 8, 16, 4, 8]
