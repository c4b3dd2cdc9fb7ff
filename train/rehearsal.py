"""The batch of one lesson: the lesson, and what rides along so that it wrecks nothing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.chat import Message, encode_chat
from model.tokenizer import Tokenizer
from train.question_forms import ask_otherwise
from train.recipe import Recipe
from train.schedule import Exchange, Items, choose
from train.windows import Batch, EncodedBook, EncodedDocument
from train.wording import content_words, reword

# Turns of one rehearsed conversation.
CHAT_TURNS = 6


class Answer(NamedTuple):
    """Where the answer of an item is in a batch: targets `start` to `stop` of `row`."""

    item: int
    row: int
    start: int
    stop: int


class Rehearsal(NamedTuple):
    """A batch, and where in it the answers are whose loss is of interest."""

    batch: Batch
    answers: tuple[Answer, ...]


class Shelf(NamedTuple):
    """The documents that rehearsal draws from.

    `ends` are the prose's running lengths in tokens, `talk_share` is that of the conversations.
    """

    prose: tuple[EncodedDocument, ...]
    ends: np.ndarray
    talks: tuple[EncodedDocument, ...]
    talk_share: float


class Piece(NamedTuple):
    """A document of a batch; `items` are those behind its answers, in order, None is of no item."""

    ids: np.ndarray
    weights: np.ndarray
    items: tuple[int | None, ...] = ()


def answer_document(prompt: Sequence[int], answer: Sequence[int]) -> Piece:
    """A lesson: the prompt as context, the answer's tokens as targets."""
    weights = np.repeat([0.0, 1.0], [len(prompt), len(answer)])
    return Piece(np.array([*prompt, *answer]), weights)


def answer_batch(prompt: Sequence[int], answer: Sequence[int], context: int) -> Batch:
    """One row with the answer after its prompt."""
    return pack([answer_document(prompt, answer)], 1, context).batch


def make_shelf(books: Sequence[EncodedBook]) -> Shelf:
    """The training documents of some books, prose and conversations apart."""
    documents = [document for book in books for document in book.documents]
    prose = tuple(document for document in documents if _is_prose(document))
    talks = tuple(document for document in documents if not _is_prose(document))
    lengths, talk = [len(document.ids) for document in prose], sum(len(d.ids) for d in talks)
    return Shelf(prose, np.cumsum(lengths), talks, talk / max(talk + sum(lengths), 1))


def _is_prose(document: EncodedDocument) -> bool:
    """Whether every word of a document is a target, as in no conversation."""
    return bool(np.all(document.weights[1:] > 0))


def lesson_rehearsal(
    lesson: Piece | None,
    said: Exchange | None,
    items: Items,
    own: Sequence[Exchange],
    shelf: Shelf,
    tokenizer: Tokenizer,
    context: int,
    now: int,
    recipe: Recipe,
    draws: np.random.Generator,
    *,
    unwanted: Sequence[str] = (),
    early: bool = False,
) -> Rehearsal:
    """The lesson and its rehearsal as `recipe.windows` rows of `context` tokens.

    What finds no room is left out, the lesson never.

    Args:
      lesson: the answer after the conversation before it; None when there is only rehearsal.
      said: the lesson's words, which also come without that conversation.
      items: old lessons.
      own: the model's own earlier replies.
      shelf: what was read.
      now: lessons in the life.
      unwanted: replies that the lesson's was preferred to.
      early: whether lessons may come back that are not due.
    """
    new: list[Piece] = []
    worse: list[Piece] = []
    known = {content_words(item.said.say) for item in items}
    if lesson is not None and said is not None:
        weights = lesson.weights * recipe.lesson_weight / np.sum(lesson.weights)
        new.append(lesson._replace(weights=weights))
        if recipe.rehearses:
            new.append(_turn(tokenizer, said, None, recipe.lesson_weight))
        against = -recipe.contrast * recipe.lesson_weight / max(len(unwanted), 1)
        worse = [
            _turn(tokenizer, said._replace(answer=reply), None, against)._replace(items=())
            for reply in unwanted
        ]
        known.add(content_words(said.say))
    chosen = choose(items, now, recipe.old, draws, early=early)
    old = [_old_lesson(tokenizer, items, index, recipe, draws) for index in chosen]
    anchors = [reply for reply in own if content_words(reply.say) not in known]
    # Places that no lesson needs are for own replies.
    places = recipe.own + recipe.old - len(chosen) if recipe.own else 0
    own_turns = [
        _turn(tokenizer, _in_other_words(anchors[index], recipe.reworded, draws), None, 1.0)
        for index in _pick(len(anchors), places, draws)
    ]
    read = [piece for _ in range(recipe.readings) for piece in _reading(shelf, context, draws)]
    lesson_share = 1 - recipe.own_share - recipe.read_share
    weight = sum(float(np.sum(piece.weights)) for piece in (*new, *old))
    scale = lesson_share / max(weight, recipe.many)
    new, old = _weighing([*new, *worse], scale), _weighing(old, scale)
    own_turns = _weighing(own_turns, recipe.own_share / max(len(own_turns), 1))
    read = _weighing(read, recipe.read_share / max(recipe.readings, 1))
    talk = _mixed(old, own_turns, context, recipe, draws)
    return pack([*new, *talk, *read], recipe.windows, context)


def _old_lesson(tokenizer, items: Items, index: int, recipe: Recipe, draws) -> Piece:
    """An old lesson, in other words more often when its answer is known."""
    share = recipe.reworded if items[index].interval > 1 else recipe.reworded / 3
    return _turn(tokenizer, _in_other_words(items[index].said, share, draws), index, 1.0)


def _weighing(pieces: Sequence[Piece], scale: float) -> list[Piece]:
    return [piece._replace(weights=piece.weights * scale) for piece in pieces]


def _in_other_words(said: Exchange, share: float, draws: np.random.Generator) -> Exchange:
    if draws.random() < share:
        return said._replace(say=ask_otherwise(said.say, draws) or reword(said.say, draws))
    return said


def _mixed(turns, own_turns, context: int, recipe: Recipe, draws) -> list[Piece]:
    """Lessons and own replies, some alone and some as the turns of conversations."""
    together, alone = [], []
    for piece in (*turns, *own_turns):
        (together if draws.random() < recipe.chats else alone).append(piece)
    together = [together[index] for index in np.argsort(draws.random(len(together)))]
    return [*alone, *_chats(together, context)]


def _chats(turns: Sequence[Piece], context: int) -> list[Piece]:
    """The turns as conversations of a few turns that fit the context."""
    chats: list[Piece] = []
    for turn in turns:
        last = chats[-1] if chats else None
        if (
            last is None
            or len(last.items) == CHAT_TURNS
            or len(last.ids) + len(turn.ids) - 1 > context
        ):
            chats.append(turn)
        else:
            # Turns are encoded apart, so that all but the document's mark can be joined.
            ids, weights = (
                np.concatenate([a, b[1:]]) for a, b in zip(last[:2], turn[:2], strict=True)
            )
            chats[-1] = Piece(ids, weights, last.items + turn.items)
    return chats


def _turn(tokenizer: Tokenizer, said: Exchange, item: int | None, weight: float) -> Piece:
    """An exchange as a conversation of its own, whose answer weighs so much in all."""
    messages = [Message("user", said.say), Message("assistant", said.answer)]
    ids, learned = encode_chat(tokenizer, messages)
    return Piece(np.array(ids), np.array(learned) * (weight / sum(learned)), (item,))


def _spans(weights: np.ndarray) -> list[tuple[int, int]]:
    """Where the stretches of weights above 0 begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], weights > 0, [0]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _pick(n: int, count: int, draws: np.random.Generator) -> list[int]:
    return [int(index) for index in np.argsort(draws.random(n), kind="stable")[:count]]


def _reading(shelf: Shelf, context: int, draws: np.random.Generator) -> list[Piece]:
    """A window of prose or of conversations, each as often as it was read."""
    draw_window = _dialogues if draws.random() < shelf.talk_share else _passage
    return draw_window(shelf, context, draws)


def _passage(shelf, context: int, draws) -> list[Piece]:
    """A window's length of prose somewhere in the books read."""
    if not shelf.prose:
        return []
    place = int(draws.random() * shelf.ends[-1])
    number = int(np.searchsorted(shelf.ends, place, side="right"))
    document = shelf.prose[number]
    length = len(document.ids)
    start = max(min(place - int(shelf.ends[number]) + length, length - context), 0)
    ids = document.ids[start : start + context]
    return [Piece(ids, np.full(len(ids), 1 / max(len(ids) - 1, 1)))]


def _dialogues(shelf, context: int, draws) -> list[Piece]:
    """A window's length of whole conversations out of the books read."""
    found: list[EncodedDocument] = []
    room = context
    # Tries are bounded: a shelf may hold longer conversations only.
    for draw in draws.random(32):
        if not shelf.talks:
            break
        document = shelf.talks[int(draw * len(shelf.talks))]
        if len(document.ids) <= room:
            found.append(document)
            room -= len(document.ids)
    total = sum(float(np.sum(document.weights)) for document in found)
    return [Piece(d.ids, d.weights / total) for d in found]


def pack(pieces: Sequence[Piece], windows: int, context: int) -> Rehearsal:
    """The pieces in rows, each in the first that has room for it; the first piece always fits."""
    tokens_BT, targets_BT, segments_BT = np.zeros((3, windows, context), np.int32)
    weights_BT = np.zeros((windows, context), np.float32)
    filled, counts = [0] * windows, [0] * windows
    answers = []
    for piece in pieces:
        length = len(piece.ids) - 1
        row = next((r for r in range(windows) if filled[r] + length <= context), None)
        if row is None:
            continue
        place = slice(filled[row], filled[row] + length)
        tokens_BT[row, place] = piece.ids[:-1]
        targets_BT[row, place] = piece.ids[1:]
        weights_BT[row, place] = piece.weights[1:]
        segments_BT[row, filled[row] :] = counts[row]
        spans = _spans(piece.weights[1:]) if piece.items else []
        answers += [
            Answer(item, row, filled[row] + start, filled[row] + stop)
            for item, (start, stop) in zip(piece.items, spans, strict=True)
            if item is not None
        ]
        filled[row], counts[row] = filled[row] + length, counts[row] + 1
        # What follows the last piece of a row is padding, a segment of its own.
        segments_BT[row, filled[row] :] = counts[row]
    return Rehearsal(Batch(tokens_BT, targets_BT, weights_BT, segments_BT), tuple(answers))
