"""What macOS tells through `sysctl`: one call for all values, because each call costs a process."""

from __future__ import annotations

from edgellm.machine.command import Command

KEYS = (
    "hw.physicalcpu",
    "hw.logicalcpu",
    "hw.perflevel0.physicalcpu",
    "hw.optional.arm.FEAT_DotProd",
    "hw.optional.arm.FEAT_I8MM",
    "hw.optional.arm.FEAT_BF16",
    "hw.optional.arm.FEAT_SME",
    "hw.optional.arm.FEAT_SME2",
    "iogpu.wired_limit_mb",
    "machdep.cpu.brand_string",
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
)


def started() -> Command:
    """The call, under way. `-i` passes over keys that this Mac does not have."""
    return Command("/usr/sbin/sysctl", "-i", *KEYS)


def values(output: str | None) -> dict[str, str]:
    """Lines of `key: value`."""
    pairs = (line.partition(": ") for line in (output or "").splitlines())
    return {key.strip(): value.strip() for key, separator, value in pairs if separator}
