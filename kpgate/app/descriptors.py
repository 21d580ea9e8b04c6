"""How many files and sockets a process may have open. Children inherit it."""

import resource

KEPT = 256


def raise_descriptor_limit() -> int:
    """Allow this process and its children as many descriptors as the system lets them have. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard


def connections_max() -> int:
    """Connections a listener may hold: half the descriptors, the other half is for upstreams.

    Out of descriptors, Granian's accept loop would spin.
    """
    return max(64, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - KEPT) // 2)
