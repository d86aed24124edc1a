"""Options that several commands share, each defined once; None means that the settings decide."""

from __future__ import annotations

from typing import Annotated

import typer

_MODEL = "What the model is and how it is loaded"
_SAMPLING = "How the answer is made (defaults differ by model)"
_SERVER = "Server"

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="MODEL", help="A name from `edgellm models`, user/repository of the hub, or a path."
    ),
]
Draft = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="A smaller model that guesses ahead; auto if not set, or none.", rich_help_panel=_MODEL
    ),
]
NoSpeculation = Annotated[
    bool,
    typer.Option("--no-speculation", metavar="", help="Never guess ahead, even where it pays.", rich_help_panel=_MODEL),
]
Context = Annotated[
    int | None,
    typer.Option(
        metavar="TOKENS", help="Length of the context; 0 is the model's, 8192 at most.", rich_help_panel=_MODEL
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", help="Threads that compute; 0 is one a physical core.", rich_help_panel=_MODEL),
]
GpuLayers = Annotated[
    int | None, typer.Option(metavar="N", help="Layers on the GPU, if there is one; -1 is all.", rich_help_panel=_MODEL)
]
KvType = Annotated[
    str | None, typer.Option(metavar="f16|q8_0", help="Number format of the KV cache.", rich_help_panel=_MODEL)
]
FlashAttention = Annotated[
    str | None, typer.Option(metavar="auto|on|off", help="Fused attention kernels.", rich_help_panel=_MODEL)
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="auto|llama.cpp|ik|mlx|onnx",
        help="Library that computes; auto takes that of the model's format.",
        rich_help_panel=_MODEL,
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        metavar="",
        help="Say on stderr why this model, backend, quantization and threads.",
        rich_help_panel=_MODEL,
    ),
]
Rpc = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT,...",
        help="Computers that lend their memory for layers; trusted networks only (docs/rpc.md).",
        rich_help_panel=_MODEL,
    ),
]
Offline = Annotated[
    bool | None,
    typer.Option("--offline", metavar="", help="Never use the network.", rich_help_panel=_MODEL, show_default=False),
]
LogLevel = Annotated[
    str | None,
    typer.Option(metavar="LEVEL", help="Least to log: debug, info, warning or error.", rich_help_panel=_MODEL),
]

Local = Annotated[
    bool,
    typer.Option(
        "--local", metavar="", help="Load the model here, though a server runs that has it.", rich_help_panel=_MODEL
    ),
]
System = Annotated[str | None, typer.Option(metavar="TEXT", help="Instructions that the model follows throughout.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(metavar="N", help="Longest answer; as long as fits if not given.", rich_help_panel=_SAMPLING),
]
Temperature = Annotated[
    float | None, typer.Option(metavar="X", help="0 always takes the likeliest token.", rich_help_panel=_SAMPLING)
]
TopK = Annotated[
    int | None, typer.Option(metavar="N", help="Choose among the N likeliest; 0 is off.", rich_help_panel=_SAMPLING)
]
TopP = Annotated[
    float | None, typer.Option(metavar="X", help="Choose among the likeliest that sum to X.", rich_help_panel=_SAMPLING)
]
MinP = Annotated[
    float | None,
    typer.Option(metavar="X", help="Leave out what is less likely than X times the best.", rich_help_panel=_SAMPLING),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="The same seed gives the same answer.", rich_help_panel=_SAMPLING)
]
Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think",
        metavar="",
        help="Have it think first, or not, if it can do both.",
        rich_help_panel=_SAMPLING,
        show_default=False,
    ),
]
HideThinking = Annotated[
    bool,
    typer.Option(
        "--hide-thinking", metavar="", help="Do not show on the terminal what it thinks.", rich_help_panel=_SAMPLING
    ),
]

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Where to listen; 127.0.0.1 if not set.", rich_help_panel=_SERVER)
]
Port = Annotated[
    int | None, typer.Option(metavar="PORT", help="11435 if not set; 0 is any free one.", rich_help_panel=_SERVER)
]
NoAuth = Annotated[
    bool,
    typer.Option(
        "--no-auth", metavar="", help="Dangerous: let in everybody who can reach it.", rich_help_panel=_SERVER
    ),
]
Plain = Annotated[
    bool, typer.Option("--plain", metavar="", help="Print a line instead of the live table.", rich_help_panel=_SERVER)
]
LogFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Add the log to this file, as lines of JSON.", rich_help_panel=_MODEL)
]
Slots = Annotated[
    int | None, typer.Option(metavar="N", help="Sequences kept in the KV cache.", rich_help_panel=_SERVER)
]
Parallel = Annotated[
    int | None, typer.Option(metavar="N", help="Sequences that decode at once.", rich_help_panel=_SERVER)
]
Batch = Annotated[int | None, typer.Option(metavar="TOKENS", help="Tokens a step computes.", rich_help_panel=_SERVER)]
Queue = Annotated[
    int | None, typer.Option(metavar="N", help="Requests that may wait for their turn.", rich_help_panel=_SERVER)
]
PrefixCache = Annotated[
    bool | None,
    typer.Option(
        "--prefix-cache/--no-prefix-cache",
        metavar="",
        help="Reuse what was computed for prompts that begin alike.",
        rich_help_panel=_SERVER,
        show_default=False,
    ),
]


def given(**values: object) -> list[str]:
    """Of these options, as they are written, those that somebody gave."""
    return ["--" + name.replace("_", "-") for name, value in values.items() if value is not None]
