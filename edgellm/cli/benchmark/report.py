"""A benchmark's figures as text for a terminal of 80 columns."""

from __future__ import annotations

from edgellm.cli.benchmark.figures import Report
from edgellm.cli.benchmark.plot import bar, table

_BAR = 30


def text(report: Report, *, blocks: bool) -> str:
    """Everything that was measured, a part after the other; `blocks` if the output can show block characters."""
    parts = (
        _heading(report),
        _prefill(report, blocks),
        _decode(report, blocks),
        _steps(report, blocks),
        _kinds(report),
        _rivals(report),
        list(report.notes),
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def _heading(report: Report) -> list[str]:
    model = ", ".join(part for part in (report.model, report.quantization, report.backend) if part)
    threads = f"{report.threads} thread{'s' * (report.threads != 1)}"
    memory = f", memory read at {report.bandwidth / 1e9:.1f} GB/s" if report.bandwidth else ""
    return [f"{model} (edgellm {report.edgellm})", f"{report.processor}, {threads}{memory}"]


def _prefill(report: Report, blocks: bool) -> list[str]:
    most = max((each.tokens_per_s for each in report.prefill), default=0.0)
    rows = [
        (f"{each.tokens:,}", figure(each.tokens_per_s), bar(each.tokens_per_s, most, _BAR, blocks=blocks))
        for each in report.prefill
    ]
    return table(("prompt tokens", "read, tok/s", ""), rows, left=0) if rows else []


def _decode(report: Report, blocks: bool) -> list[str]:
    """Bars as long as the limit would be full."""
    most = max((each.tokens_per_s for each in report.decode), default=0.0)
    rows = []
    for each in report.decode:
        limit = each.limit_per_s
        of_limit = f"{each.tokens_per_s / limit:.0%} of {figure(limit)}" if limit else "-"
        drawn = bar(each.tokens_per_s, limit or most, _BAR, blocks=blocks)
        rows.append((f"{each.context:,}", figure(each.tokens_per_s), of_limit, drawn))
    return table(("after tokens", "written, tok/s", "of memory's limit", ""), rows, left=0) if rows else []


def _steps(report: Report, blocks: bool) -> list[str]:
    """The fewer milliseconds a row, the more a step of several rows has to gain."""
    if not report.step_ms:
        return []
    costs = sorted(report.step_ms.items())
    most = max(ms / rows for rows, ms in costs)
    lines = table(
        ("rows in a step", "ms", "ms a row", ""),
        [(str(rows), figure(ms), figure(ms / rows), bar(ms / rows, most, _BAR, blocks=blocks)) for rows, ms in costs],
        left=0,
    )
    return [*lines, f"A token of the draft model takes {figure(report.draft_ms)} ms."] if report.draft_ms else lines


def _kinds(report: Report) -> list[str]:
    rows = [
        (
            each.kind,
            figure(each.plain_per_s),
            figure(each.tokens_per_s),
            f"{each.speedup:.2f}x",
            str(each.drafted),
            "-" if each.acceptance is None else f"{each.acceptance:.0%}",
            f"{max(0.0, each.lost):.1%}",
        )
        for each in report.kinds
    ]
    head = ("kind of answer", "plain", "guessing", "speedup", "guessed", "came true", "behind")
    lines = table(head, rows) if rows else []
    if lines:
        lines.append("Plain and guessing ahead in tok/s; behind: at worst, of an answer's time.")
    if any(each.drafted == 0 for each in report.kinds):
        lines.append("Where nothing was guessed, the speedup is what this machine's clock strays by.")
    return lines


def _rivals(report: Report) -> list[str]:
    ours = {each.kind: each for each in report.kinds}
    rows = [
        (
            each.kind,
            figure(each.here_per_s),
            figure(each.tokens_per_s),
            f"{each.ratio:.2f}x",
            figure(ours[each.kind].first_ms),
            figure(each.first_ms),
        )
        for each in report.rivals
    ]
    head = ("kind of answer", "here", "there", "speedup", "first text, ms", "there, ms")
    return [f"Against {report.rival_model} at {report.url}", *table(head, rows)] if rows else []


def figure(value: float) -> str:
    """Three digits or more: 0.18, 2.34, 23.4, 234, 2,340."""
    return f"{value:,.{2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0}f}"
