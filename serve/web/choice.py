"""One candidate of an answer as it grows: text held back at stops, and its log-probabilities."""

from typing import Any

import numpy as np

from model.stream import StreamDecoder
from model.tokenizer import Tokenizer
from serve.decode import Drawn
from serve.lines import printable
from serve.web.chat_request import ChatRequest

# JSON has no infinity.
_LEAST = -9999.0


class Choice:
    """Takes what was drawn for one candidate and gives what a client may see of it so far."""

    def __init__(self, index: int, request: ChatRequest, tokenizer: Tokenizer) -> None:
        self.index = index
        self.text = ""
        self.finish: str | None = None
        self.logprobs: list[dict[str, Any]] = []
        self.tokens = 0
        self._request = request
        self._tokenizer = tokenizer
        self._decoder = StreamDecoder(tokenizer)
        self._whole = ""
        self._hold = max(map(len, request.stops), default=1) - 1

    def take(self, drawn: Drawn) -> tuple[str, list[dict[str, Any]]]:
        """The text and the log-probabilities that became sure with these tokens."""
        given, entries = len(self.text), len(self.logprobs)
        while self.finish is None and self.tokens < drawn.ids_CT.shape[1]:
            token = int(drawn.ids_CT[self.index, self.tokens])
            if token == self._tokenizer.turn_end:
                self._end("stop")
                break
            if self._request.logprobs:
                self.logprobs.append(self._entry(drawn, self.tokens))
            self.tokens += 1
            self._push(self._decoder.push(token))
        return self.text[given:], self.logprobs[entries:]

    def close(self) -> str:
        """The text that was still held back, when nothing more will be drawn."""
        given = len(self.text)
        if self.finish is None:
            self._end("length")
        return self.text[given:]

    def _push(self, text: str) -> None:
        self._whole += printable(text)
        at = [place for stop in self._request.stops if (place := self._whole.find(stop)) >= 0]
        if at:
            self._whole = self._whole[: min(at)]
            self.text, self.finish = self._whole, "stop"
        else:
            self.text = self._whole[: max(len(self._whole) - self._hold, len(self.text))]

    def _end(self, why: str) -> None:
        self._push(self._decoder.flush())
        self.text, self.finish = self._whole, self.finish or why

    def _entry(self, drawn: Drawn, position: int) -> dict[str, Any]:
        row = self.index, position
        best = range(self._request.best)
        return {
            **self._token(drawn.ids_CT[row], drawn.log_probs_CT[row]),
            "top_logprobs": [
                self._token(drawn.best_ids_CTK[row][k], drawn.best_log_probs_CTK[row][k])
                for k in best
            ],
        }

    def _token(self, token: np.integer, log_prob: np.floating) -> dict[str, Any]:
        data = self._tokenizer.token_bytes(int(token))
        return {
            "token": data.decode("utf-8", "replace"),
            "logprob": max(float(log_prob), _LEAST),
            "bytes": list(data),
        }
