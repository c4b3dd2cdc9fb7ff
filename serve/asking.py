"""The person is asked, and while they read and type the model makes what its lessons call for."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from serve.output import Output
from serve.session import Session


class Asking:
    """Asks at the keyboard, or reads lines where there is none."""

    def __init__(self, session: Session, output: Output) -> None:
        self._session, self._output = session, output
        self._picks = 0
        self._at_keyboard = sys.stdin.isatty()
        # Whether somebody types, and that no rest is under way.
        self._typing, self._awake = threading.Event(), threading.Lock()
        if self._at_keyboard:
            self._prompts: PromptSession[str] = PromptSession(
                history=InMemoryHistory(), key_bindings=self._keys()
            )
            self._prompts.default_buffer.on_text_changed += lambda _: self._typing.set()

    def __call__(self, prompt: str, picks: int) -> str:
        """What the person typed; of an empty line the keys 1 to `picks` answer at once.

        Raises:
          EOFError: they left.
        """
        self._picks = picks
        with self._learning_meanwhile():
            if self._at_keyboard:
                return self._prompts.prompt(prompt)
            line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    @contextmanager
    def _learning_meanwhile(self) -> Iterator[None]:
        """What lessons owe or need is made; old ones come back until the person types.

        What a script says is followed by no rest, whose length would be a matter of time.
        """
        self._typing = typing = threading.Event()

        def learn() -> None:
            try:
                self._session.settle()
                if self._at_keyboard:
                    with self._awake:
                        self._session.rest(typing.is_set)
            except ValueError as error:
                self._output.say(str(error))

        threading.Thread(target=learn, daemon=True).start()
        try:
            yield
        finally:
            typing.set()
            # A rest becomes an event, and whatever is done next another one after it.
            with self._awake:
                pass

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @Condition
        def nothing_typed() -> bool:
            return not get_app().current_buffer.text

        def pick(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text(event.data)
            if int(event.data) <= self._picks:
                event.current_buffer.validate_and_handle()

        for digit in "123456789":
            keys.add(digit, filter=nothing_typed)(pick)
        return keys
