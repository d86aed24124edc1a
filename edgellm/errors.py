"""Every exception edgellm raises on purpose; each message says what happened and what to do next.

EdgeLLMError
 ├── ConfigError              a setting is unknown, malformed or out of range
 │    └── KeyRefused          another server does not take the key that it is shown
 ├── RequestError             the caller asked for something that cannot be done; asking again will not help
 │    ├── ContextOverflow     prompt and answer do not fit in the context (has both numbers)
 │    ├── Unsupported         a feature this model, backend or version does not have
 │    └── TemplateError       the model's chat template refused the messages
 ├── ModelNotFound            no such file, name or alias
 ├── LoadError                a model file exists but cannot be loaded
 │    ├── NotAModel           not a model file at all, or damaged
 │    ├── UnsupportedModel    a sound file of a kind that this build cannot run
 │    └── OutOfMemory         the machine cannot hold it
 │         └── NotEnoughMemory  as a plan foresaw before loading (has both numbers)
 ├── DownloadError            a file could not be fetched
 │    ├── ChecksumMismatch    it was fetched, and is not what was promised
 │    ├── AccessDenied        its source asks for a token, or does not let this one in
 │    ├── NotAtSource         its source has no such repository, revision or file
 │    ├── RateLimited         its source wants to be left alone for a while (has retry_after_s)
 │    ├── Unreachable         no network, no answer in time, or a server that fails; trying again may help
 │    └── Offline             the offline setting forbids it
 ├── BackendError             the native library failed while decoding
 └── Unavailable              the model cannot answer right now; asking again may help
      ├── QueueFull           too many requests wait already (has retry_after_s)
      ├── DeadlineExceeded    the request's own deadline passed
      ├── UpstreamFailed      another server cannot be reached, fails, or broke off its answer
      ├── UpstreamTimeout     another server takes longer than it is given
      └── WorkerDied          the process that held the model is gone
"""

from __future__ import annotations


class EdgeLLMError(Exception):
    """Root of the tree; `code` is the stable machine-readable name, the same on every surface."""

    code = "error"


class ConfigError(EdgeLLMError):
    code = "config_error"


class KeyRefused(ConfigError):
    code = "upstream_key_refused"


class RequestError(EdgeLLMError):
    code = "invalid_request"


class ContextOverflow(RequestError):
    """`needed` and `available` count tokens; `needed` is the prompt plus the answer asked for."""

    code = "context_length_exceeded"

    def __init__(self, message: str, needed: int = 0, available: int = 0) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available


class Unsupported(RequestError):
    code = "unsupported"


class TemplateError(RequestError):
    code = "template_error"


class ModelNotFound(EdgeLLMError):
    code = "model_not_found"


class LoadError(EdgeLLMError):
    code = "load_error"


class NotAModel(LoadError):
    code = "not_a_model"


class UnsupportedModel(LoadError):
    code = "unsupported_model"


class OutOfMemory(LoadError):
    code = "out_of_memory"


class NotEnoughMemory(OutOfMemory):
    """`needed` and `available` are bytes; nothing was loaded."""

    code = "not_enough_memory"

    def __init__(self, message: str, needed: int = 0, available: int = 0) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available


class DownloadError(EdgeLLMError):
    code = "download_error"


class ChecksumMismatch(DownloadError):
    code = "checksum_mismatch"


class AccessDenied(DownloadError):
    code = "access_denied"


class NotAtSource(DownloadError):
    code = "not_at_source"


class RateLimited(DownloadError):
    """`retry_after_s` is what the source asked for, in seconds; 0 if it did not say."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreachable(DownloadError):
    code = "unreachable"


class Offline(DownloadError):
    code = "offline"


class BackendError(EdgeLLMError):
    code = "backend_error"


class Unavailable(EdgeLLMError):
    code = "unavailable"


class QueueFull(Unavailable):
    """`retry_after_s` is an estimate in seconds."""

    code = "queue_full"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(Unavailable):
    code = "deadline_exceeded"


class UpstreamFailed(Unavailable):
    code = "upstream_failed"


class UpstreamTimeout(Unavailable):
    code = "upstream_timeout"


class WorkerDied(Unavailable):
    code = "worker_died"


def _tree(root: type[EdgeLLMError]) -> dict[str, type[EdgeLLMError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child) if "code" in vars(child) else {}  # others are a room's own, and cross as their parent
    return found


def from_code(code: str, message: str, details: dict[str, float] | None = None) -> EdgeLLMError:
    """Rebuild an error that crossed a process boundary as `code`, `message` and numeric `details`.

    An unknown code gives a plain `EdgeLLMError`, so that a newer worker cannot break an older parent.
    """
    error = _tree(EdgeLLMError).get(code, EdgeLLMError)(message)
    for name, value in (details or {}).items():
        if name in vars(error):
            setattr(error, name, type(getattr(error, name))(value))
    return error


def details(error: EdgeLLMError) -> dict[str, float]:
    """The numeric attributes of `error`, for `from_code` on the other side of a boundary."""
    return {name: value for name, value in vars(error).items() if isinstance(value, int | float)}
