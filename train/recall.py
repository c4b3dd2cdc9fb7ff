"""What is left of old lessons: the loss of each one's answer under the weights as they are now."""

from typing import NamedTuple

import numpy as np

from train.effective import effective_events
from train.life import Life, LifeState
from train.rehearsal import answer_batch
from train.step import batch_losses


class Recalled(NamedTuple):
    """One old lesson: loss of its answer before it, just after it, and now; nats per token."""

    event: int
    say: str
    answer: str
    before: float
    after: float
    now: float


def recall(life: Life, state: LifeState, limit: int) -> list[Recalled]:
    """The last `limit` lessons that were not undone, oldest first, each in its own prompt."""
    events = list(effective_events(life.journal, kinds=("lesson",)))[-limit:]
    context = state.config.model.context
    found = []
    for event in events:
        data = event.data
        batch = answer_batch(data["prompt"], data["answer_ids"], context)
        losses_BT = np.asarray(batch_losses(state.train.params, batch, state.config))
        now = float(np.sum(losses_BT * batch.weights_BT) / len(data["answer_ids"]))
        recalled = (data["say"], data["answer"], data["loss_before"], data["loss_after"], now)
        found.append(Recalled(event.id, *recalled))
    return found
