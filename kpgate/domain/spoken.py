"""What the model wrote in a stream, kept until it is counted: the half of a `Framing` that every dialect shares."""


class Spoken:
    """Text that waits to be counted.

    Units: `text_bytes` in UTF-8, for no token is less than a byte: what a hold still has room for is told by it.
    """

    __slots__ = ("_texts", "text_bytes")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.text_bytes = 0

    def hear(self, text: str) -> None:
        """More was written."""
        self._texts.append(text)
        self.text_bytes += _size(text)

    @property
    def heard(self) -> int:
        """How often something was, for `forget`."""
        return len(self._texts)

    def forget(self, heard: int) -> None:
        """Count nothing of what came after so much was heard: it is not sent on."""
        late = self._texts[heard:]
        del self._texts[heard:]
        self.text_bytes -= sum(map(_size, late))

    def take_text(self) -> str:
        """What the model wrote since the last time."""
        text = "".join(self._texts)
        self._texts.clear()
        self.text_bytes = 0
        return text


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
