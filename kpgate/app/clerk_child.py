"""The clerk as the supervisor's child: it gets its order, says that it lives, and stops when it is told to.

Started as `python -m kpgate.app.clerk_child <descriptor of the channel>`. What the clerk does is `clerk`'s.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from kpgate._fast.commit import Life, Region
from kpgate.app.channel import Channel, Message, Order, first_order
from kpgate.app.clerk import Alerting, Clerk
from kpgate.app.directory import Directory
from kpgate.app.poster import Refused
from kpgate.app.references import resolve
from kpgate.domain.settings import Settings
from kpgate.domain.webhook import key_of

BEAT_S = 1.0
LIFE_PATIENCE_US = 1_000_000


async def live(channel: Channel, order: Order) -> None:
    """Be the clerk until told to stop, or until the supervisor is gone."""
    directory = Directory(Path(order.data))
    members = directory.join(alone=False)
    life = Life.obtain(directory.run, order.seat, LIFE_PATIENCE_US)
    if members is None or life is None:
        raise BlockingIOError("another clerk works on this data directory")
    settings = msgspec.json.decode(order.settings, type=Settings)
    clerk = Clerk(directory, Region.open(order.region), life, settings.ledger, _alerting(settings))
    loop = asyncio.get_running_loop()

    def hear() -> None:
        messages = channel.receive()
        if messages is None:
            # The supervisor is gone: the clerk finds that out by itself and stays while workers settle.
            loop.remove_reader(channel.fileno())
        elif any(message.do == "stop" for message in messages):
            clerk.stop()

    def beat() -> None:
        channel.send(Message(did="beat"))
        loop.call_later(BEAT_S, beat)

    loop.add_reader(channel.fileno(), hear)
    beat()
    channel.send(Message(did="ready"))
    await clerk.run()


def _alerting(settings: Settings) -> Alerting:
    """Errors: ReferenceFailed, which the check of the configuration finds first."""
    alerts, messenger = settings.alerts, None
    if alerts.url is not None and alerts.secret is not None:
        # house: imports - few have it, and a client of HTTP takes as long to load as the rest of alerts
        from kpgate.app.messenger import Messenger

        messenger = Messenger(alerts.url, key_of(resolve(alerts.secret, os.environ)))
    return Alerting(alerts.thresholds, alerts.balances_microkpt, messenger)


def main() -> None:
    """The process, from its start to its end."""
    # A terminal or a service manager signals the whole group; when a clerk is to stop, its supervisor says.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    order, _ = first_order(channel)
    try:
        asyncio.run(live(channel, order))
    except Refused as error:
        channel.send(Message(did="failed", problems=(str(error),), final=True))
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it is, the supervisor is told
        traceback.print_exc()
        channel.send(Message(did="failed", problems=(f"{type(error).__name__}: {error}",)))
        os._exit(1)


if __name__ == "__main__":
    main()
