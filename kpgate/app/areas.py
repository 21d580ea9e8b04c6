"""What credits need of the shared region. The supervisor makes room for them and keeps no books."""

from kpgate._fast import credit, journal
from kpgate.domain.settings import Ledger


def areas(settings: Ledger) -> dict[int, tuple[int, int]]:
    """What a region needs for credits; nothing where there are none."""
    if not settings.enabled:
        return {}
    return {**credit.areas(accounts=settings.accounts_max, budgets=settings.accounts_max), **journal.areas()}
