"""Tokens to text as they are drawn, whole characters at a time."""

from model.tokenizer import Tokenizer, decode_utf8


class StreamDecoder:
    """Turns tokens into text as they come; the parts joined are `Tokenizer.decode` of all ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending = b""

    def push(self, id_: int) -> str:
        """Returns the text that became complete; the start of a character is held back."""
        data = self._pending + self._tokenizer.token_bytes(id_)
        complete = _complete_length(data)
        self._pending = data[complete:]
        return decode_utf8(data[:complete])

    def flush(self) -> str:
        """Returns what is still held back, U+FFFD for an unfinished character."""
        data, self._pending = self._pending, b""
        return decode_utf8(data)


def _complete_length(data: bytes) -> int:
    """Returns the length of `data` without a character that is begun but not finished."""
    for back in range(1, min(3, len(data)) + 1):
        lead = data[-back]
        if lead >= 0xC0:
            needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
        if lead < 0x80:
            break
    return len(data)
