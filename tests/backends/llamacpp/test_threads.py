"""Where nobody chose a number of threads, there is one for each physical core."""

from __future__ import annotations

import psutil
import pytest

from edgellm.backends.llamacpp import threads


@pytest.mark.parametrize(("physical", "logical", "expected"), [(8, 16, 8), (None, 4, 4), (None, None, 1)])
def test_physical_cores_where_they_are_known(
    monkeypatch: pytest.MonkeyPatch, physical: int | None, logical: int | None, expected: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True, known=logical: known if logical else physical)
    assert threads.default_threads() == expected
