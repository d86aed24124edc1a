"""How much of their beginning two runs of tokens share."""

from __future__ import annotations

from collections.abc import Sequence as Seq


def common_prefix(a: Seq[int], start_a: int, b: Seq[int], start_b: int, limit: int) -> int:
    """How many items `a[start_a:]` and `b[start_b:]` share at their beginning, at most `limit`.

    Slices are compared by doubling and halving, so that long matches run at C speed.
    """
    limit = min(limit, len(a) - start_a, len(b) - start_b)
    done, step = 0, 16
    while done < limit:
        step = min(step, limit - done)
        i, j = start_a + done, start_b + done
        if a[i : i + step] == b[j : j + step]:
            done += step
            step *= 2
        elif step == 1:
            break
        else:
            step = max(1, step // 2)
            if a[i : i + step] == b[j : j + step]:
                done += step
    return done
