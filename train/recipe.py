"""What a lesson's update is made of: the product's way and the ones it was compared with."""

import dataclasses
import math

# Parameters times rehearsals of a lesson, at most: some twelve seconds of two cores.
REHEARSED_PARAMETERS = 312_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to learn from one interaction.

    `windows` rows of the model's context are filled with the lesson, `old` old lessons, `own` of
    the model's own earlier replies (and more where fewer lessons are due), and `readings` windows
    of what was read. All is one batch and one update, `steps` times. As long as typed old lessons
    are due, at most so many `rehearsals` follow without the lesson, while the person reads and
    types; all of them together are to move the weights as far as `full_rehearsals` at the lesson's
    rate. `chats` is the share of lessons and own replies that come as turns of one conversation
    instead of alone, `reworded` the share of questions in other words, a third of it as long as the
    answer is not known.

    Of the loss `own_share` is of own replies, `read_share` of what was read, and the rest of
    lessons; less of it if there are not so `many` of them. `lesson_weight` is the weight of the
    new one among them. Of a picked reply the others that it was preferred to become less likely,
    together `contrast` times as much as it becomes likelier; it counts the less the fewer than
    `pick_nats` per token it cost before.
    """

    learning_rate: float = 5e-4
    steps: int = 1
    rehearsals: int = 12
    full_rehearsals: float = 6.0
    windows: int = 6
    old: int = 16
    own: int = 10
    readings: int = 3
    chats: float = 0.3
    reworded: float = 0.3
    lesson_weight: float = 1.0
    own_share: float = 0.33
    read_share: float = 0.37
    many: int = 10
    contrast: float = 1.0
    pick_nats: float = 1.5
    fresh_moments: bool = False
    sgd: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be a positive number, got {self.learning_rate}.")

    def lighter(self) -> "Recipe":
        """The recipe of a lesson that is spread: most of it is left to its rehearsals."""
        return self.weighing(1 / 4)

    def weighing(self, factor: float) -> "Recipe":
        """The recipe of a lesson that counts so many times as much."""
        return dataclasses.replace(self, lesson_weight=self.lesson_weight * factor)

    def rehearsals_of(self, parameters: int) -> int:
        """How many rehearsals follow at most in a model of that size.

        A large model makes fewer, but two, so that the person seldom waits for them.
        """
        return min(self.rehearsals, max(2, REHEARSED_PARAMETERS // parameters))

    def of_rehearsals(self, parameters: int) -> "Recipe":
        """The recipe of the rehearsals in a model of that size: many are at a lower rate.

        More and smaller steps teach as much and leave everything else where it was.
        """
        share = self.full_rehearsals / max(self.rehearsals_of(parameters), 1)
        return dataclasses.replace(self, learning_rate=self.learning_rate * min(share, 1.0))

    @property
    def rehearses(self) -> bool:
        """Whether anything but the lesson itself is in the batch."""
        return bool(self.old or self.own or self.readings)


_ALONE = Recipe(
    rehearsals=0,
    windows=1,
    old=0,
    own=0,
    readings=0,
    reworded=0.0,
    chats=0.0,
    contrast=0.0,
    pick_nats=0.0,
)

RECIPES = {
    "rehearsed": Recipe(),
    # The idea's first form: the lesson alone, Adam begun anew.
    "seed": dataclasses.replace(_ALONE, learning_rate=1e-5, fresh_moments=True),
    # Three steps on the lesson and one window of what was read.
    "vidya": dataclasses.replace(
        _ALONE, learning_rate=1e-4, steps=3, windows=2, readings=1, fresh_moments=True
    ),
    "sgd": Recipe(learning_rate=0.01, sgd=True),
}
