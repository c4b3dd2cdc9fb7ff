"""The conversation as a state machine: say, look at the replies, pick or teach. No terminal here.

from serve.session import Session
with Session.open(workdir) as session:
    turn = session.say("Hello")
    lesson = turn.pick(1)            # or turn.teach("Hello, how are you?")
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from grow.plan import Plan
from model.chat import Message, encode_answer, encode_prompt
from serve.allocator import give_back_freed_memory
from serve.autosave import READING_SAVE_SHARE
from serve.conversation import Conversation
from serve.open_model import OpenModel
from serve.sample import Reply, SamplingConfig, sample_replies
from serve.turn import Turn, question_before, replies_data
from train.books import Book
from train.effective import effective_count, gone_with
from train.growth import GrowthReport, grow_life
from train.lesson import Kind, Lesson, Question, give_lesson
from train.life import REPLIES_STREAM, Life, LifeState, open_life
from train.probes import Surprise, surprise
from train.reading import Report, read_books
from train.reading_plan import ReadingConfig
from train.records import Event
from train.remembering import remember
from train.replay import Say, Watch, restore
from train.sleep import Sleep, give_sleep
from train.store import AUTO, StoreConfig
from train.talk import FORGET, context_after_undo
from train.undo import UndoPlan, last_undo, plan_undo, undo


class Session(OpenModel):
    """A conversation with an open model; the only mutable record of one."""

    def __init__(
        self, life: Life, state: LifeState, sampling: SamplingConfig, unsaved: float = 0.0
    ) -> None:
        super().__init__(life, state, unsaved)
        self.sampling = sampling
        # Where the words of its turns come from.
        self.origin = "python"
        self._closed, self._taught = 0, set[int]()
        self._conversation = Conversation(life)

    @classmethod
    def open(
        cls,
        workdir: str | Path,
        *,
        sampling: SamplingConfig | None = None,
        read_only: bool = False,
        store: StoreConfig = AUTO,
        say: Say = lambda _: None,
        watch: Watch = lambda _: None,
    ) -> Self:
        """A session on an existing model folder.

        `store` says where weights and moments are to be, `say` is told what a restore has to mend,
        `watch` how far a replay is.
        """
        life = open_life(Path(workdir).expanduser(), read_only=read_only, store=store)
        try:
            state, seconds = restore(life, say, watch)
            session = cls(life, state, sampling or SamplingConfig(), seconds)
            session._autosave.save_when_due(state)
            return session
        except BaseException:
            life.close()
            raise

    def context(self) -> list[Message]:
        """The conversation so far, as the context file has it now."""
        return self._conversation.messages()

    def edit_context(self, text: str) -> None:
        """The context file holds the turns that `text` has, as `parse_context` reads them."""
        self._require_writer("edit the context")
        self._conversation.edit(text)

    def forget_context(self) -> None:
        """The context file is empty; the weights keep what they learned."""
        self._require_writer("forget the context")
        with self._conversation.becomes([]):
            event = self.life.journal.append(FORGET, {})
        self.state = self.state._replace(event=event.id)

    def say(self, text: str) -> Turn:
        """The finished turn: all replies to `text`, written to the journal; saves when due."""
        *_, last = self.stream(text)
        assert isinstance(last, Turn)
        self._autosave.save_when_due(self.state)
        return last

    def stream(
        self, text: str, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Reply, ...] | Turn]:
        """The unfinished replies after every few tokens, and at last the turn; or stops early.

        Nothing is saved, for a person waits: `settle` is for that.
        """
        text = text.strip()
        if not text:
            raise ValueError("a prompt must hold some words, got none; say something.")
        life, config = self.life, self.state.config
        room = config.model.context - min(self.sampling.max_new_tokens, config.model.context // 2)
        messages = (*self.context(), Message("user", text))
        prompt = encode_prompt(life.tokenizer, messages, room)
        key = life.stream(REPLIES_STREAM, effective_count(life.journal, "replies"))
        replies: Sequence[Reply] = ()
        remembered = self._remembered(text)
        for drawn in sample_replies(
            self.weights(), prompt, key, life.tokenizer, config.model, self.sampling, config.dtype
        ):
            replies = [*remembered, *drawn[len(remembered) :]]
            yield tuple(replies)
            if should_stop():
                break
        question = Question(text, prompt, room=room)
        yield self._journaled(Turn(self, self.state.event, question, messages, tuple(replies)))

    def _remembered(self, text: str) -> tuple[Reply, ...]:
        """The taught answer that the words call to mind as a reply, if one stands out."""
        if not self.sampling.remember:
            return ()
        tokenizer = self.life.tokenizer
        found = remember(self.state, tokenizer, text)
        if found is None:
            return ()
        ids = tuple(tokenizer.encode(found.answer))
        return (Reply(ids, found.answer, found.log_prob, ended=True, remembered=True),)

    def _journaled(self, turn: Turn) -> Turn:
        """The turn as the journal has it; as it is while nothing is learned."""
        if not self.learning:
            return turn
        event = self.life.journal.append("replies", replies_data(turn, self.sampling, self.origin))
        self.state = self.state._replace(event=event.id)
        self._next_is_a_lesson = bool(self.recipe.own)
        return turn.numbered(event.id)

    def learn(self, turn: Turn, answer: str, kind: Kind, *, spread: bool = False) -> Lesson:
        """The lesson is in the weights, the journal and the context file."""
        self._require_writer("teach")
        if not self.learning:
            raise ValueError("learning is off, so nothing was learned; /learn on turns it on.")
        if turn.event <= self._closed or turn.event in self._taught:
            raise ValueError("it already was a lesson, or an undo came since; say something new.")
        if self._held_out is None:
            self._held_out = self.held_out()
        life, room = self.life, self.state.config.model.context
        question = question_before(turn, answer, life.tokenizer, room)._replace(origin=self.origin)
        recipe = self.recipe.lighter() if spread else self.recipe
        kept = self._conversation.after(turn.question.say, answer, room)
        # The rounded weights of the old state would be in memory beside those of the new one.
        self._copy = None
        with self._restored_after_failure(), self._conversation.becomes(kept):
            self.state, lesson = give_lesson(
                life, self._ready(), question, answer, kind, recipe, turn.others(answer, kind)
            )
        self._copy = None
        self._taught.add(turn.event)
        self._autosave.unsaved += lesson.seconds
        return lesson

    def learn_from_now(self, learning: bool) -> None:
        """Turns from now on may become lessons, or leave no trace at all."""
        if learning:
            self._require_writer("learn")
        self.learning = learning

    def surprise(self, turn: Turn, answer: str) -> Surprise:
        """How unexpected an answer to this turn would be now."""
        life, room = self.life, self.state.config.model.context
        question = question_before(turn, answer, life.tokenizer, room)
        answer_ids = encode_answer(life.tokenizer, answer)
        return surprise(life, self.state, question.prompt, answer_ids)

    def sleep(self, updates: int | None = None) -> Sleep:
        """Old lessons were rehearsed, and the model's own replies will be taken anew."""
        self._require_writer("sleep")
        with self._restored_after_failure():
            self.state, sleep = give_sleep(self.life, self.state, self.recipe, updates)
        self._copy = self._held_out = None
        self._autosave.save_when_due(self.state, sleep.seconds)
        return sleep

    def teach_at(self, learning_rate: float) -> None:
        """Lessons from now on are made at this rate."""
        self.recipe = dataclasses.replace(self.recipe, learning_rate=learning_rate)

    def plan_undo(self, *, lessons: int | None = None, event: int | None = None) -> UndoPlan:
        """What an undo would take back and cost; see `train.undo.plan_undo`."""
        return plan_undo(self.life, lessons=lessons, event=event)

    def plan_redo(self) -> UndoPlan:
        """What an undo of the last undo would bring back and cost."""
        return plan_undo(self.life, event=last_undo(self.life))

    def undo(self, plan: UndoPlan, watch: Watch = lambda _: None) -> Event:
        """Weights, moments and all later draws are those of a life without the plan's events.

        Turns from before it cannot be taught any more; `watch` is told how far the replay is.
        """
        self._require_writer("undo")
        messages = self.context()
        gone = gone_with(self.life.journal, plan.events)
        kept = context_after_undo(self.life, messages, gone)
        with self._conversation.becomes(kept):
            event = undo(self.life, plan)
        self._closed = event.id
        self._restore(watch)
        self._autosave.save_when_due(self.state)
        return event

    def grow(self, plan: Plan, noise: float = 0.0) -> GrowthReport:
        """The model is larger, says the same, and is saved so; see `grow_life`."""
        self._require_writer("grow")
        self._copy = self._held_out = None
        with self._restored_after_failure():
            self.state, report = grow_life(self.life, self.state, plan, noise)
        self.save()
        return report

    def read(
        self,
        books: Sequence[Book],
        reading: ReadingConfig,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Report]:
        """Reads books; the reports come as they are made, and the end is saved."""
        self._require_writer("read books")
        self._copy = self._held_out = None
        give_back_freed_memory()
        last = time.monotonic()
        try:
            for state, report in read_books(self.life, self.state, books, reading, should_stop):
                self.state = state
                seconds = time.monotonic() - last
                self._autosave.save_when_due(state, seconds, READING_SAVE_SHARE)
                last = time.monotonic()
                yield report
        except GeneratorExit:
            self.save()
            raise
        except BaseException:
            # The step may have used up the arrays; the folder still has what was acknowledged.
            self._restore()
            raise
        if should_stop():
            # Only laid aside; it is saved when that is due, or by `close`.
            self._autosave.save_when_due(self.state)
            give_back_freed_memory()
            return
        # Lessons have arrays of other sizes, which would not fit where those of reading were.
        give_back_freed_memory()
        self.save()
