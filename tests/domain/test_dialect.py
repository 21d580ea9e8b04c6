"""What a dialect offers: an endpoint read by another function is the same in all else."""

from dataclasses import fields

from kpgate.dialects.through.endpoints import THROUGH
from kpgate.domain.dialect import Endpoint


def test_an_endpoint_read_otherwise_is_the_same_in_all_else() -> None:
    # No two fields have the same value: one that is forgotten, or stands in another's place, is seen.
    one = Endpoint(*[_value(field.name) for field in fields(Endpoint)])
    for decode, intake in ((print, None), (print, len)):
        read = one.read_by(decode, intake)  # type: ignore[arg-type]
        changed = {"decode": decode} | ({"intake": intake} if intake is not None else {})
        for field in fields(Endpoint):
            wanted = changed.get(field.name, getattr(one, field.name))
            assert getattr(read, field.name) is wanted, field.name
    assert THROUGH.read_by(print).intake is THROUGH.intake  # type: ignore[arg-type]


def _value(name: str) -> object:
    if name in ("generates", "once"):
        return name == "once"
    if name in ("id_header", "stream_type"):
        return name.encode()
    if name == "spelled":
        return {name: name}
    if name in ("path", "dialect", "upstream_path", "unit"):
        return f"{name} of it"
    return lambda: name
