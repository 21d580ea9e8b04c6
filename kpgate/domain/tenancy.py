"""Whose money is whose: a call is held and charged on its own party's account, and counted in its own budgets alone.

Pure: it is shown who owns what, and a call's hold.
"""

from collections.abc import Mapping

import msgspec

from kpgate.domain.ledger import SPEND, Hold

OF_KEY, OF_PARTY, OF_A_TOKEN = range(3)
"""Whose a budget is: its kind in the store."""


class Tenants(msgspec.Struct, frozen=True):
    """Who owns what.

    Shape: kind and party by account; a key's party; kind and owner by budget; a party token's key by (budget, tag).
    """

    accounts: Mapping[int, tuple[str, int | None]]
    keys: Mapping[int, int]
    budgets: Mapping[int, tuple[int, int]]
    tokens: Mapping[tuple[int, int], int]

    def problem(self, hold: Hold) -> str:
        """What a call touches that is not its party's; empty where all of it is."""
        if self.accounts.get(hold.account) != (SPEND, hold.party):
            return f"account {hold.account} is not that of its party {hold.party}"
        if hold.key and self.keys.get(hold.key) != hold.party:
            return f"key {hold.key} is not one of its party {hold.party}"
        for number, _, _, tag in hold.budgets:
            kind, owner = self.budgets.get(number, (-1, -1))
            if kind == OF_A_TOKEN:
                owner = self.tokens.get((number, tag), 0)
            if owner != (hold.party if kind == OF_PARTY else hold.key) or bool(tag) != (kind == OF_A_TOKEN):
                return f"budget {number} is not one of its party {hold.party} or key {hold.key}"
        return ""
