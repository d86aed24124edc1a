"""Whether a draft model is asked, and how far it drafts: its time counts, and most of all what it has to catch up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence as Seq
from dataclasses import dataclass, field
from itertools import accumulate

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative.acceptance import Acceptance, Record
from edgellm.engine.speculative.controller import BEGIN, GO_ON, Controller
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.draft_model import IN_STEP, Ask, Draft, DraftModel
from edgellm.engine.speculative.probes import Probes

LONGEST = 16
_CLASSES = 10
_UNTIMED = "the draft model has not been timed yet"
FRESH = 16
"""Steps for which the best speedup is remembered, as step times move slowly, and what the draft model lacks."""

_SOON = 4
"""Tokens after which it is looked again whether a request can bear a draft."""

_ASSUMED = 0.6
"""Acceptance before any was seen."""

_BEST = 0.95
"""Acceptance that a draft model may reach; where not even that would pay, it is never asked."""


@dataclass(slots=True)
class ModelGuess:
    """What was drafted for one sequence: the tokens, the class of each by confidence, and the chances of that."""

    tokens: list[int]
    kinds: list[int]
    chances: list[float]


@dataclass(slots=True)
class _Own:
    """What is kept of one sequence: its acceptance, its probes, whether it is being drafted for."""

    record: Record
    probes: Probes = field(default_factory=Probes)
    on: bool = False
    probing: bool = False
    lag: int | None = None
    looked: int = 0
    """At so many tokens of the sequence its `lag` was looked up."""
    again: int = 0
    """At so many tokens it is worth while to look what drafts promise; before, only for a probe."""
    due: bool = False
    """This step is one for a probe."""
    guess: ModelGuess | None = None


class ModelDrafting:
    """Stands between the proposer and a `DraftModel`; one for all sequences."""

    def __init__(self, drafter: DraftModel, times: StepTimes, controller: Controller) -> None:
        self.drafter = drafter
        self.acceptance = Acceptance((_CLASSES,), first=_ASSUMED)
        self.catch_up_ms: float | None = None
        """Of one token of a prompt."""
        self.reason = _UNTIMED
        self.spent: float | None = None
        """Milliseconds that the last `guess` cost, if only to catch up; None where the model was not asked."""
        self._times = times
        self._draft_times = StepTimes(together=drafter.backend.capabilities.together)
        self._controller = controller
        self._own: dict[int, _Own] = {}
        self._bests: dict[tuple[int, float], float] = {}
        self._turns = 0
        self._pays = False

    def adopt(self, milliseconds: Mapping[int, float]) -> None:
        """What a calibration of the draft model found, by rows."""
        if milliseconds:
            self._turns = 0
            most = max(milliseconds)
            self._draft_times.adopt(milliseconds)
            self._times.observe_draft(milliseconds[min(milliseconds)], 1)
            self.catch_up_ms = milliseconds[most] / most

    def can_pay(self) -> bool:
        """Whether drafts could be worth their time on this machine if nearly all came true."""
        if self.drafter.failure is not None:
            self.reason = f"the draft model failed: {self.drafter.failure}"
        elif self._times.draft is None or self.catch_up_ms is None:
            self.reason = _UNTIMED
        elif self._best(1, _BEST) < BEGIN:
            self.reason = f"a drafted token takes {self._times.draft:.1f} ms, which cannot pay here"
        else:
            self.reason = ""
            return True
        return False

    # -- drafting -----------------------------------------------------------------------------------------------

    def wanting(self, sequences: Seq[Sequence]) -> list[Sequence]:
        """Those to be looked at in this step. To work out whether it is worth it is dear beside a step on a GPU, so
        where the draft model was not asked, nothing stirs for a while.
        """
        if self._turns == 0:
            self.meanwhile()
        return [sequence for sequence in sequences if self._stirs(sequence)] if self._pays else []

    def meanwhile(self) -> None:
        """Once a step; now and then, as step times move slowly, it is worked out anew what could pay."""
        if self._turns % FRESH == 0:
            self._bests.clear()
            self._pays = self.can_pay()
        self._turns += 1

    def guess(self, sequences: Seq[Sequence], base: int, allowed: Mapping[int, float]) -> dict[int, ModelGuess]:
        """Drafts for those of `sequences` where they promise to pay, or that are due to be tried again.

        `base` sequences decode in this step; `allowed` are the milliseconds that each may lose at worst.
        """
        self.spent = None
        asks = [ask for s in sequences if (ask := self._ask(s, base, allowed.get(s.id, 0.0))) is not None]
        if not asks:
            return {}
        alphas = {ask.id: self._alpha(self._own[ask.id].record) for ask in asks}
        count = len(asks)
        round = self.drafter.draft(
            asks, lambda id, draft: self._worth_another(base, count, self._chances(id, draft), alphas[id])
        )
        self.spent = 1000 * round.seconds
        for step in round.steps:
            if step.drafted and step.tokens == step.sequences:
                self._observe(step.sequences, 1000 * step.seconds)
        guesses = {id: self._guess(id, draft) for id, draft in round.drafts.items()}
        for id, guess in guesses.items():
            self._own[id].guess = guess
        return guesses

    def _draft_ms(self, count: int) -> float:
        """Milliseconds of a step that drafts one token for each of `count` sequences."""
        return self._draft_times.at(max(1, count), max(1, count)) if self._draft_times.points else 0.0

    def _observe(self, count: int, milliseconds: float) -> None:
        self._draft_times.observe(count, milliseconds, plain=False, sequences=count)
        if count == 1:
            self._times.observe_draft(milliseconds, 1)

    def judge(self, sequence: Sequence, appended: Seq[int]) -> None:
        """`appended` is what the sequence really went on with; verified or not, the drafts are compared with it."""
        own = self._own.get(sequence.id)
        if own is None or own.guess is None:
            return
        guess, own.guess = own.guess, None
        for token, kind, real in zip(guess.tokens, guess.kinds, appended, strict=False):
            self.acceptance.observe(kind, token == real, own.record)
            if token != real:
                break
        if own.probing:
            own.probing = False
            (own.probes.succeeded if guess.tokens[0] == appended[0] else own.probes.failed)()

    def release(self, id: int) -> None:
        self.drafter.release(id)
        self._own.pop(id, None)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _ask(self, sequence: Sequence, base: int, allowed: float) -> Ask | None:
        own = self._own[sequence.id]
        left = sequence.job.max_tokens - sequence.generated - 1
        each = self._draft_ms(base)
        own.again = len(sequence.tokens) + _SOON
        if left < 1 or allowed < each:
            return None
        lag = self._lag(sequence, own)
        own.again = own.looked + FRESH
        if lag is None:
            return None
        catch_up = self._catch_up(lag)
        speedup = self._best(base, self._alpha(own.record))
        plain = self._times.at(base, base)
        own.on = speedup >= (GO_ON if own.on else BEGIN) and catch_up < (1 - 1 / speedup) * plain * left
        most = min(LONGEST if own.on else 2, left, int(max(0.0, allowed - catch_up) / each))
        if not most or not (own.on or own.due or own.probes.due()):
            return None
        own.probing, own.lag, own.again = not own.on, None, 0
        return Ask(sequence.id, sequence.tokens, most)

    def _stirs(self, sequence: Sequence) -> bool:
        """Whether to look again at what a sequence's drafts promise."""
        own = self._own.get(sequence.id)
        if own is None:
            own = self._own[sequence.id] = _Own(self.acceptance.own())
        fresh = len(sequence.tokens) >= own.again
        own.due = not fresh and own.probes.due()
        return fresh or own.due

    def _lag(self, sequence: Sequence, own: _Own) -> int | None:
        """What the draft model lacks; while it is not asked, looked up every few steps only: it grows with the text."""
        length = len(sequence.tokens)
        if own.lag is None or length - own.looked >= FRESH:
            own.lag, own.looked = self.drafter.lag(sequence.id, sequence.tokens), length
            return own.lag
        return own.lag + length - own.looked

    def _catch_up(self, lag: int) -> float:
        """Milliseconds that the first drafted token takes longer than others: a few tokens may cost as much as many."""
        if lag <= IN_STEP:
            return self._draft_times.at(lag) - self._draft_times.at(1)
        assert self.catch_up_ms is not None
        return max(self._draft_times.at(lag - 1), (lag - 1) * self.catch_up_ms)

    def _best(self, base: int, alpha: float) -> float:
        """Asked at every step, where a step may take two milliseconds: what it was a moment ago will do."""
        key = base, round(alpha, 2)
        known = self._bests.get(key)
        if known is None:
            known = max(self._speedup(base, base, [key[1]] * k) for k in range(1, LONGEST + 1))
            self._bests[key] = known
        return known

    def _worth_another(self, base: int, count: int, chances: list[float], alpha: float) -> bool:
        """Whether some longer draft beats the best that verifies no more than there is."""
        done = len(chances)
        now = max(self._speedup(base, count, chances[:k], drafted=done) for k in range(done + 1))
        later = ([*chances, *[alpha] * more] for more in range(1, LONGEST - done + 1))
        return any(self._speedup(base, count, longer) > now for longer in later)

    def _speedup(self, base: int, count: int, chances: Seq[float], drafted: int | None = None) -> float:
        """S where `count` of `base` sequences verify drafts with these chances, having drafted so many."""
        reached, gain = 1.0, 0.0
        for chance in chances:
            reached *= chance
            gain += reached
        length = len(chances)
        drafting = self._draft_ms(count) * (length if drafted is None else drafted)
        return self._controller.speedup(base, count * length, count * gain, drafting)

    def _alpha(self, own: Record) -> float:
        shared = self.acceptance.shared
        tries = sum(shared.tries)
        mean = (sum(shared.hits) + 10 * _ASSUMED) / (tries + 10)
        return (sum(own.hits) + 8 * mean) / (sum(own.tries) + 8)

    def _chances(self, id: int, draft: Draft) -> list[float]:
        return self._guess(id, draft).chances

    def _guess(self, id: int, draft: Draft) -> ModelGuess:
        kinds = [min(_CLASSES - 1, int(_CLASSES * confidence)) for confidence in draft.confidence]
        own = self._own[id].record
        return ModelGuess(draft.tokens, kinds, [self.acceptance.chance(kind, own) for kind in kinds])


def could_pay(target: Mapping[int, float], draft: Mapping[int, float]) -> bool:
    """Whether drafts could be worth their time by these milliseconds by rows; True where they do not tell."""
    times = StepTimes()
    times.adopt(target)
    if not times.ready or not draft:
        return True
    controller, each = Controller(times), draft[min(draft)]
    gains = accumulate(_BEST**k for k in range(1, LONGEST + 1))
    return any(controller.speedup(1, k, gain, k * each) >= BEGIN for k, gain in enumerate(gains, 1))
