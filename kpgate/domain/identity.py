"""Who signs requests to a provider, and where."""

import msgspec

from kpgate.domain.secret import Secret

NO_TOKEN = Secret("")


class Identity(msgspec.Struct, frozen=True):
    """Keys, and the region that they sign for. Shape: `token` goes with keys that end, empty for those that last."""

    access_key: str
    secret_key: Secret
    region: str
    token: Secret = NO_TOKEN
