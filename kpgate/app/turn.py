"""One reload under way: who has still to answer, and who asked for it. It says nothing to anybody."""

import msgspec

from kpgate.app.channel import Channel, Message
from kpgate.app.slot import Slot
from kpgate.domain.settings import Settings


class Asker(msgspec.Struct, frozen=True):
    """Whoever wants to hear how a reload went: a child's question, or nobody (a signal)."""

    slot: Slot | None = None
    channel: Channel | None = None
    question: int = 0


class Turn:
    """A reload. Order: all members prepare; without problems all swap; then it is over."""

    def __init__(self, number: int, settings: Settings, deadline_s: float, askers: list[Asker]) -> None:
        self.number = number
        self.settings = settings
        self.encoded = msgspec.Raw(msgspec.json.encode(settings))
        self.deadline_s = deadline_s
        self.askers = askers
        self.members: set[Slot] = set()
        self.waiting: set[Slot] = set()
        self.problems: list[str] = []
        self.swapping = False

    def answered(self, slot: Slot, message: Message) -> bool:
        """Note an answer. Returns whether it was awaited."""
        step = "swap" if self.swapping else "prepare"
        if message.turn != self.number or message.did != step or slot not in self.waiting:
            return False
        self.problems += message.problems
        self.waiting.discard(slot)
        return True

    def without(self, slot: Slot) -> bool:
        """Note that a member died: its successor starts with whatever is in force. Returns whether it was one."""
        was_member = slot in self.members
        self.members.discard(slot)
        self.waiting.discard(slot)
        return was_member
