"""The proposer that measures: copies are followed for nothing, and drafted where that has been seen to pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from math import inf

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative import forced
from edgellm.engine.speculative.acceptance import Acceptance, Record
from edgellm.engine.speculative.calibration import Calibration
from edgellm.engine.speculative.controller import Candidate, Controller, Decision
from edgellm.engine.speculative.copying import GROUPS, PRIORS, CopyTrail
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.draft_model import DraftModel
from edgellm.engine.speculative.drafting import FRESH, ModelDrafting
from edgellm.engine.speculative.forced import ForcedRun, merged
from edgellm.engine.speculative.loss_account import LossAccount, SlowMoments
from edgellm.engine.speculative.mentions import Piece
from edgellm.engine.speculative.proposer import StepRecord
from edgellm.model import SpeculationStatus

LEAST_SURVIVAL = 0.02
"""A token less likely to be reached is not worth looking at."""

_HASTE = 0.8
"""Of the time that plain steps would take for the rest of a request, as the least it may take with guesses."""

_TELL_S = 20.0
"""Between two times that what was learned is kept."""

_QUOTED = 8
"""Tokens of a copy that promise nothing, for an answer may end with what it quotes; for as many as there are more it is
trusted to go on.
"""

_RETRY_S = 10.0
"""After a calibration that told nothing, before the next."""

_SHORT_TOKENS, _SHORT_PART, _SHORT_STEP = 32.0, 0.05, 0.1
"""An answer's length at first, the part of answers that may be shorter, and how fast it follows them."""

_UNTIMED = "steps have not been timed yet"
_UNDECIDED = Decision({}, 1.0, 0.0, 0.0, _UNTIMED)
_NOTHING = Decision({}, 1.0, 0.0, 0.0, "nothing to draft")
_NUMBER = Decision({}, 1.0, 0.0, 0.0, "steps of so many requests at once are being timed")


@dataclass(slots=True)
class _Watched:
    """What is kept of a sequence that runs. `length` is that of its tokens when the step under way began."""

    account: LossAccount
    forced: ForcedRun | None
    length: int
    trail: CopyTrail | None = None

    @property
    def guesses(self) -> bool:
        """Whether it may be known how the sequence goes on, without asking a model."""
        return self.forced is not None or (self.trail is not None and self.trail.copies)


class AdaptiveProposer:
    """`clock` gives seconds; `times` is filled by `calibrate`, and nothing is drafted before.

    `piece` gives the bytes of a token of the target.
    """

    def __init__(
        self,
        times: StepTimes,
        clock: Callable[[], float],
        drafter: DraftModel | None = None,
        piece: Piece | None = None,
    ) -> None:
        self.times = times
        self._piece = piece
        self.drafter = drafter
        self.acceptance = Acceptance(GROUPS, priors=PRIORS)
        self.forced = Acceptance(forced.GROUPS, priors=forced.PRIORS)
        self._controller = Controller(times)
        self._drafting = ModelDrafting(drafter, times, self._controller) if drafter is not None else None
        self._clock = clock
        self._watched: dict[int, _Watched] = {}
        self._unread: list[Sequence] = []
        """Admitted, and nothing of their text looked at yet."""
        self._step: StepRecord | None = None
        """The last, of which nothing was learned yet."""
        self._steps = 0
        self._short = _SHORT_TOKENS
        self._calibrations: list[tuple[Calibration, Callable[[Mapping[int, float]], None]]] = []
        self._calibrate_from = -inf
        self._keep: Callable[[str, Record], None] = lambda name, record: None
        self._news, self._told = False, -inf
        self._began: float | None = None
        """When the round under way did, if anything was or could have been lost by it."""
        self._came: dict[Sequence, int] = {}
        """Tokens that came out of it."""
        self._decision = _UNDECIDED
        self._slow_moments = SlowMoments()
        self._rounds = self._drafted = self._accepted = 0
        self._saved_ms = 0.0

    # -- measuring ----------------------------------------------------------------------------------------------

    def calibrate(self, calibration: Calibration, done: Callable[[Mapping[int, float]], None]) -> None:
        """Time steps in quiet moments; `done` gets the milliseconds by rows when that is over."""
        self._calibrations.append((calibration, done))

    def adopt_draft(self, milliseconds: Mapping[int, float]) -> None:
        """What the draft model's own steps take."""
        if self._drafting is not None:
            self._drafting.adopt(milliseconds)

    def acceptances(self) -> dict[str, Acceptance]:
        """What was learned, by who proposed."""
        drafting, drafter = self._drafting, self.drafter
        drafted = {f"draft {drafter.backend.info.name}": drafting.acceptance} if drafting and drafter else {}
        return {"copies": self.acceptance, "forced": self.forced} | drafted

    def remember(self, known: Callable[[str], Record | None], keep: Callable[[str, Record], None]) -> None:
        """Go on from what is `known` of each proposer, and now and then, in quiet moments, have it kept."""
        for name, acceptance in self.acceptances().items():
            if (record := known(name)) is not None:
                acceptance.adopt(record)
        self._keep = keep

    def _tell(self) -> None:
        self._told, self._news = self._clock(), False
        for name, acceptance in self.acceptances().items():
            if acceptance.mean() is not None:
                self._keep(name, acceptance.shared)

    def tidy(self) -> bool:
        if not self._calibrations:
            if self._news and self._clock() - self._told >= _TELL_S:
                self._tell()
            return False
        if self._clock() < self._calibrate_from:
            return False
        calibration, done = self._calibrations[0]
        if not calibration.step():
            if calibration.retry():
                self._calibrate_from = self._clock() + _RETRY_S
                return False
            self._calibrations.pop(0)
            done(calibration.milliseconds)
        return bool(self._calibrations)

    def stepped(self, step: StepRecord) -> None:
        self._step = step
        self._rounds += bool(step.drafted)
        if self._began is not None:
            self._book(step.rows, 1000 * (self._clock() - self._began))
        self._began = None

    def meanwhile(self) -> None:
        if (step := self._step) is not None:
            self._step = None
            self._steps += 1
            self._observe(step)
            if not self._steps % FRESH:
                self._controller.refresh()
        if self._drafting is not None:
            self._drafting.meanwhile()
        if self._unread:
            for sequence in self._unread:
                self._watched[sequence.id].trail = CopyTrail(sequence.tokens, self.acceptance, self._piece)
            self._unread.clear()
        for watched in self._watched.values():
            if watched.trail is not None:
                watched.trail.complete()

    def _observe(self, step: StepRecord) -> None:
        sequences = step.rows - step.drafted
        took = 1000 * step.decode_s
        known = self.times.ready and self.times.knows(sequences)
        expected = self.times.at(sequences, sequences) if known else took
        self.times.observe(step.rows, took, plain=not step.drafted, sequences=sequences)
        if not step.drafted:
            if self.times.settled:
                self._slow_moments.plain(took, expected)
            self.times.observe_host(1000 * (step.whole_s - step.decode_s), step.tokens)

    # -- a sequence's life --------------------------------------------------------------------------------------

    def admit(self, sequence: Sequence) -> None:
        account = sequence.account = sequence.account or LossAccount(self._clock())
        self.times.interrupted()
        copies = sequence.job.speculation in ("auto", "ngram")
        run = ForcedRun(self.forced) if copies and sequence.grammar is not None else None
        self._watched[sequence.id] = _Watched(account, run, len(sequence.tokens))
        if copies:
            self._unread.append(sequence)

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        watched = self._watched[sequence.id]
        appended, watched.length = sequence.tokens[watched.length :], len(sequence.tokens)
        if watched.trail is not None:
            watched.trail.advance()
        if watched.forced is not None:
            watched.forced.judge(appended)
        if self._drafting is not None:
            self._drafting.judge(sequence, appended)
        self._came[sequence] = len(appended)
        self._drafted += drafted
        self._accepted += accepted

    def release(self, sequence: Sequence) -> None:
        del self._watched[sequence.id]
        if sequence in self._unread:
            self._unread.remove(sequence)
        self._came.pop(sequence, None)
        self._controller.forget(sequence.id)
        if self._drafting is not None:
            self._drafting.release(sequence.id)
        if sequence.ended:
            self._news = True
            # Rises and falls by turns until as many answers are shorter as should be.
            self._short *= 1 + _SHORT_STEP * ((sequence.generated >= self._short) - (1 - _SHORT_PART))

    def _book(self, rows: int, took: float) -> None:
        """A round took as long for each sequence in it, whichever's tokens were looked at first."""
        decision, times = self._decision, self.times
        plain_ms = decision.plain_ms * self._slow_moments.factor(rows, took, decision.round_ms)
        for sequence, tokens in self._came.items():
            loss = took - tokens * plain_ms
            if decision.drafted:
                # The plain step that follows will take longer for it.
                loss += times.change
            account = self._watched[sequence.id].account
            account.book(loss, times.at(times.points[-1]))
            self._saved_ms -= loss
            sequence.watch.speculated(account.saved, account.worst)

    # -- proposing ----------------------------------------------------------------------------------------------

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        self._began = None
        self._came.clear()
        if not self.times.ready or rows <= 0:
            return {}
        if not self.times.knows(len(sequences)):
            # Plain steps cost nothing, and what speculation gains is judged by them.
            return self._none(_NUMBER)
        wanting = self._wanting(sequences)
        if not wanting and not any(self._watched[sequence.id].guesses for sequence in sequences):
            # Most steps of most texts end here, and on a GPU a step may take two milliseconds.
            return self._none()
        began = self._clock()
        drafts: dict[int, list[int]] = {}
        candidates = [self._candidate(sequence, len(sequences), rows, began, drafts) for sequence in sequences]
        if not wanting and not any(drafts.values()):
            return self._none()
        decision = self._controller.decide(candidates, rows)
        spent = self._ask_model(wanting, candidates, decision, drafts)
        if spent is not None:
            decision = self._controller.decide(candidates, rows, spent=spent)
        if spent is not None or decision.drafted:
            self._began = began
        self._decision = decision
        return {id: drafts[id][:length] for id, length in decision.lengths.items()}

    def _none(self, decision: Decision = _NOTHING) -> Mapping[int, list[int]]:
        self._controller.pause()
        self._decision = decision
        return {}

    def _candidate(
        self, sequence: Sequence, base: int, rows: int, now: float, drafts: dict[int, list[int]]
    ) -> Candidate:
        watched = self._watched[sequence.id]
        left = sequence.job.max_tokens - sequence.generated
        candidate = Candidate(sequence.id, watched.account, self._whole(sequence, watched, left, now))
        drafts[sequence.id] = tokens = []
        if watched.trail is None or not (most := self._controller.most(candidate, base)):
            return candidate
        reached = 1.0
        run = watched.forced.look(sequence) if watched.forced is not None else ()
        for token, chance in islice(merged(run, watched.trail.guesses()), max(0, min(rows, left - 1, most))):
            reached *= chance
            if reached < LEAST_SURVIVAL:
                break
            tokens.append(token)
            candidate.survival.append(reached)
        return candidate

    def _whole(self, sequence: Sequence, watched: _Watched, left: int, now: float) -> float:
        """Milliseconds that the request takes in all, at least: a copy goes on for a while, if its source lasts."""
        trail = watched.trail
        copied = min(trail.source_left, max(0, trail.run - _QUOTED)) if trail is not None else 0
        rest = min(left, max(0.0, self._short - sequence.generated, copied))
        return 1000 * (now - watched.account.began) + _HASTE * rest * self.times.at(1)

    def _wanting(self, sequences: list[Sequence]) -> list[Sequence]:
        """Those for which the draft model may guess now."""
        if self._drafting is None:
            return []
        return self._drafting.wanting([s for s in sequences if s.job.speculation in ("auto", "draft")])

    def _ask_model(
        self, wanting: list[Sequence], candidates: list[Candidate], decision: Decision, drafts: dict[int, list[int]]
    ) -> float | None:
        """Have the draft model guess for those without a draft; the milliseconds it took, None if it was not asked."""
        wanting = [sequence for sequence in wanting if sequence.id not in decision.lengths]
        if self._drafting is None or not wanting:
            return None
        allowed = {c.id: c.account.left(c.whole) for c in candidates}
        guesses = self._drafting.guess(wanting, len(candidates), allowed)
        for place, candidate in enumerate(candidates):
            if (guess := guesses.get(candidate.id)) is not None:
                drafts[candidate.id] = guess.tokens
                candidates[place] = Candidate.of(candidate.id, candidate.account, candidate.whole, guess.chances)
        return self._drafting.spent

    def status(self) -> SpeculationStatus:
        ready, decision, drafting = self.times.ready, self._decision, self._drafting
        judged = {"ngram": self.acceptance, "grammar": self.forced} | (
            {"draft": drafting.acceptance} if drafting else {}
        )
        means = {name: mean for name, each in judged.items() if (mean := each.mean()) is not None}
        reasons = (decision.reason if ready else _UNTIMED, drafting.reason if drafting else "")
        return SpeculationStatus(
            state="on" if ready else "waiting",
            reason="; ".join(reason for reason in reasons if reason),
            step_ms=self.times.known(),
            draft_ms=self.times.draft,
            acceptance=means,
            speedup=decision.speedup,
            rounds=self._rounds,
            drafted=self._drafted,
            accepted=self._accepted,
            saved_ms=self._saved_ms,
        )

    def close(self) -> None:
        if self._news:
            self._tell()
        if self.drafter is not None:
            self.drafter.close()
