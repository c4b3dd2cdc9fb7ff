"""What is measured of a model that is being taught."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from model.chat import Message, encode_answer, encode_prompt
from serve.session import Session
from train.answers import answer_all
from train.evaluate import quick_held_out
from train.probes import guard_prompts
from train.question_forms import other_wordings
from train.rehearsal import answer_document, pack
from train.remembering import remember
from train.step import batch_losses
from train.wording import normalized

pairs = partial(zip, strict=True)
LENGTH, LIMIT, SAMPLES = 72, 24, 5
HELD_OUT_WINDOWS = 32


def load_lines(name: str) -> list[dict[str, Any]]:
    """The objects of one of the files beside this module."""
    text = Path(__file__).with_name(f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


class Probes(NamedTuple):
    """What is fixed before the first lesson: guard prompts and the base's replies to them."""

    guards: list[str]
    replies: list[str]
    keywords: list[str]

    @classmethod
    def of(cls, session: Session, facts) -> "Probes":
        guards = list(guard_prompts())
        replies = [reply or "" for reply in ask(session, guards)]
        kept = [number for number, reply in enumerate(replies) if reply]
        return cls(
            [guards[n] for n in kept],
            [replies[n] for n in kept],
            [fact["keyword"] for fact in facts],
        )


def ask(session: Session, says, *, context=(), temperature=0.0, key=None) -> list[str | None]:
    """The answers to many questions, each asked in the same state of the conversation."""
    life, model = session.life, session.state.config.model
    room = model.context if context else LENGTH
    prompts = [
        encode_prompt(life.tokenizer, [*context, Message("user", say)], room - LIMIT)
        for say in says
    ]
    return answer_all(
        session.state.train.params,
        prompts,
        life.tokenizer,
        model,
        session.state.config.dtype,
        length=room,
        limit=LIMIT,
        temperature=temperature,
        key=key,
    )


def holds(answer: str | None, keyword: str) -> bool:
    """Whether an answer has the keyword among its words."""
    return answer is not None and f" {normalized(keyword)} " in f" {normalized(answer)} "


def keyword_share(answers: Sequence[str | None], facts: Sequence[Any]) -> float | None:
    """The share of answers that have their fact's keyword."""
    return share(holds(a, fact["keyword"]) for a, fact in pairs(answers, facts))


def measure(session: Session, probes: Probes, facts, context, full: bool = False) -> dict[str, Any]:
    """Shares of facts known in several ways, and what happened to everything else."""
    says = [fact["say"] for fact in facts]
    plain = ask(session, says)
    guards = ask(session, probes.guards)
    taught = {normalized(item.said.answer) for item in session.state.memory.items}
    record = {
        "facts": len(facts),
        "recall": word_for_word(plain, facts),
        "keyword": keyword_share(plain, facts),
        "leak": share(leaks(guards, probes)),
        "borrowed": share(normalized(reply or "") in taught for reply in guards),
        "guard_nats": guard_nats(session, probes),
        "guard_same": share(a == b for a, b in pairs(guards, probes.replies)),
        "guard_words": float(np.mean([len((g or "").split()) for g in guards])),
        "held_out": quick_held_out(session.life, session.state, HELD_OUT_WINDOWS),
        **in_other_words(session, facts),
        "exposures": exposures(session, facts),
    }
    if full:
        record |= with_remembering(session, probes, facts)
        key = jax.random.key(session.state.lessons)
        record["four_of_five"] = share(hold_in_samples(session, facts, key))
        talking = ask(session, says, context=context)
        record["keyword_in_talk"] = keyword_share(talking, facts)
        talking = ask_remembering(session, says, context=context)
        record["remembering_in_talk"] = keyword_share(talking, facts)
        record["wrong"] = [
            [f["say"], a] for a, f in pairs(plain, facts) if not holds(a, f["keyword"])
        ]
        record["wrong_paraphrases"] = [
            [f["paraphrases"][0], a]
            for a, f in pairs(ask(session, [f["paraphrases"][0] for f in facts]), facts)
            if not holds(a, f["keyword"])
        ][:30]
        record["guards"] = [[say, reply] for say, reply in pairs(probes.guards, guards)][:30]
    return record


def in_other_words(session: Session, facts, asking=ask) -> dict[str, Any]:
    """The share of right answers to both paraphrases, and of those that rehearsal cannot have had.

    `paraphrase_rehearsed` is the share of paraphrases that are, word for word, among the wordings
    that rehearsal draws from. `asking` gives the answers to questions, as `ask` does.
    """
    questions = [(fact, wording) for fact in facts for wording in fact["paraphrases"]]
    answers = asking(session, [wording for _, wording in questions])
    right = np.array([holds(a, fact["keyword"]) for a, (fact, _) in pairs(answers, questions)])
    rehearsed = np.array([is_rehearsed(fact["say"], wording) for fact, wording in questions])
    return {
        "paraphrase": [share(right[0::2]), share(right[1::2])],
        "paraphrase_rehearsed": share(rehearsed),
        "paraphrase_new": share(right[~rehearsed.astype(bool)]),
    }


def with_remembering(session: Session, probes: Probes, facts) -> dict[str, Any]:
    """The shares when the taught answer that a question calls to mind is the first reply."""
    plain = ask_remembering(session, [fact["say"] for fact in facts])
    guards = ask_remembering(session, probes.guards)
    found = in_other_words(session, facts, ask_remembering)
    return {
        "remembering_keyword": keyword_share(plain, facts),
        "remembering_paraphrase": found["paraphrase"],
        "remembering_new": found["paraphrase_new"],
        "remembering_leak": share(leaks(guards, probes)),
    }


def ask_remembering(session: Session, says, *, context=()) -> list[str | None]:
    """What each question calls to mind, and where that is nothing, the likeliest answer."""
    called = [remember(session.state, session.life.tokenizer, say) for say in says]
    likeliest = ask(session, says, context=context)
    return [found.answer if found else answer for found, answer in pairs(called, likeliest)]


def word_for_word(answers, lessons) -> float | None:
    """The share of lessons whose answer was given, but for case and marks."""
    return share(
        normalized(answer or "") == normalized(lesson["answer"])
        for answer, lesson in pairs(answers, lessons)
    )


def leaks(replies, probes: Probes) -> list[bool]:
    """Which replies hold the keyword of some fact."""
    return [any(holds(reply, word) for word in probes.keywords) for reply in replies]


def is_rehearsed(say: str, wording: str) -> bool:
    """Whether rehearsing a question may have come with exactly that wording of it."""
    return normalized(wording) in map(normalized, other_wordings(say))


def hold_in_samples(session: Session, facts, key) -> list[bool]:
    """Which facts' keywords are in at least four of five sampled answers."""
    says = [fact["say"] for fact in facts for _ in range(SAMPLES)]
    samples = ask(session, says, temperature=0.7, key=key)
    hits = [holds(a, f["keyword"]) for a, f in pairs(samples, np.repeat(facts, SAMPLES))]
    return [bool(held) for held in np.reshape(hits, (-1, SAMPLES)).sum(axis=1) >= SAMPLES - 1]


def share(values) -> float | None:
    """The share of true values; None of none."""
    values = list(values)
    return float(np.mean(values)) if values else None


def exposures(session: Session, facts) -> float | None:
    """How often a fact was in a batch, in the median."""
    counts = exposure_counts(session)
    found = [counts[said] for fact in facts if (said := normalized(fact["say"])) in counts]
    return float(np.median(found)) if found else None


def exposure_counts(session: Session) -> dict[str, int]:
    """How often each lesson's question was in a batch."""
    return {normalized(i.said.say): i.exposures for i in session.state.memory.items}


def guard_nats(session: Session, probes: Probes) -> float:
    """Nats per token of the base's own replies to the guard prompts."""
    life, config = session.life, session.state.config
    pieces, total = [], 0
    for say, reply in pairs(probes.guards, probes.replies):
        prompt = encode_prompt(life.tokenizer, [Message("user", say)], 2**31)
        answer = encode_answer(life.tokenizer, reply)
        pieces.append(answer_document(prompt, answer))
        total += len(answer)
    batch = pack(pieces, 16, config.model.context).batch
    assert int(np.sum(batch.weights_BT)) == total
    nats_BT = np.asarray(batch_losses(session.state.train.params, batch, config))
    return float(np.sum(nats_BT * batch.weights_BT) / total)


def style_record(session: Session, probes: Probes, has_style, seed: int) -> dict[str, Any]:
    """The share of sampled replies with a style, and how different the replies are."""
    says = [line["say"] for line in load_lines("style_test")]
    key = jax.random.fold_in(jax.random.key(seed), session.state.lessons + 1000)
    repeated = [say for say in says for _ in range(SAMPLES)]
    replies = [reply or "" for reply in ask(session, repeated, temperature=0.7, key=key)]
    groups = [replies[n : n + SAMPLES] for n in range(0, len(replies), SAMPLES)]
    pairs_of_words = [pair for r in replies for pair in zip(r.split(), r.split()[1:], strict=False)]
    return {
        "share": share(has_style(reply) for reply in replies),
        "words": float(np.mean([len(reply.split()) for reply in replies])),
        "distinct_2": len(set(pairs_of_words)) / max(len(pairs_of_words), 1),
        "overlap": float(np.mean([overlap(group) for group in groups])),
        "guard_nats": guard_nats(session, probes),
        "held_out": quick_held_out(session.life, session.state, HELD_OUT_WINDOWS),
    }


def overlap(replies: list[str]) -> float:
    """The mean share of words that two of the replies have in common."""
    words = [set(normalized(reply).split()) for reply in replies]
    shares = [len(a & b) / max(len(a | b), 1) for n, a in enumerate(words) for b in words[n + 1 :]]
    return float(np.mean(shares))
