"""The reference pages and the example configuration, written from the tables they describe.

`python -m kpgate.app.reference` writes them all below the current directory; a test fails when they are stale.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from kpgate.app.cli import cli
from kpgate.app.settings_tree import Field, Kind, fields
from kpgate.domain.errors import REGISTRY, Retry
from kpgate.domain.limits import Limits
from kpgate.domain.metrics import METRICS
from kpgate.domain.presets import PRESETS, Preset
from kpgate.domain.settings import Prices, Settings, ShareOf, Timeouts

RETRIES = {Retry.NEVER: "no", Retry.ELSEWHERE: "yes", Retry.LATER: "after `retry-after`"}
REPEATED: dict[type[msgspec.Struct], str] = {
    Limits: "limits",
    Timeouts: "timeouts",
    Prices: "price",
    ShareOf: "shares",
}
"""Tables that occur in several places: described once, under their own heading."""

# What the example shows where a setting has no default of its own.
EXAMPLES: dict[str, Any] = {
    "server.tls.cert": "/etc/kpgate/cert.pem",
    "server.tls.key": "/etc/kpgate/key.pem",
    "server.tls.client_ca": "/etc/kpgate/clients.pem",
    "server.trusted_proxies": ["10.0.0.0/8"],
    "admin.port": 9090,
    "providers.name": "openai",
    "providers.preset": "openai",
    "providers.url_parts": {"account": "my-account"},
    "providers.base_url": "https://api.openai.com/v1",
    "providers.api_key": "env:OPENAI_API_KEY",
    "providers.api_version": "",
    "providers.api_keys": [],
    "providers.checks.kind": "tcp",
    "providers.signing.access_key": "env:AWS_ACCESS_KEY_ID",
    "providers.signing.secret_key": "env:AWS_SECRET_ACCESS_KEY",
    "providers.signing.session_token": "env:AWS_SESSION_TOKEN",
    "providers.signing.region": "eu-central-1",
    "providers.headers": {"OpenAI-Organization": "org-example"},
    "providers.proxy": "http://proxy.internal:3128",
    "providers.ca": "/etc/kpgate/upstream.pem",
    "models.name": "gpt-4o-mini",
    "models.aliases": ["small"],
    "models.candidates": [],
    "models.fallbacks": [],
    "models.sticky": "header:x-session-id",
    "models.rules.when": 'tier == "free" and prompt_tokens < 2000',
    "models.rules.use": [],
    "models.rules.route": "cost",
    "models.rules.name": "short",
    "models.hedge.delay_s": 1.5,
    "models.shadow.model": "gpt-4o-mini",
    "models.can.context_tokens": 128000,
    "models.can.vision": True,
    "providers.passthrough.request": 0.01,
    "providers.embeddings": "openai",
    "providers.rerank": "jina",
    "models.can.tools": True,
    "models.can.json_schema": True,
    "models.can.reasoning": False,
    "models.encoding": "o200k_base",
    "models.output_tokens_max": 16384,
    "models.deployments.provider": "openai",
    "models.deployments.model": "gpt-4o-mini",
    "models.deployments.match": {"x-tier": "gold"},
    "requests": "600/min",
    "requests_burst": 100,
    "tokens": "90000/min",
    "tokens_burst": 20000,
    "concurrency": 50,
    "max_cost_microkpt": 1000000,
    "input": 2.5,
    "output": 10.0,
    "cached": 1.25,
    "cache_write": 3.125,
    "cache_write_long": 5.0,
    "long_above": 200_000,
    "long_input": 5.0,
    "long_output": 15.0,
    "long_cached": 2.5,
    "long_cache_write": 6.25,
    "long_cache_write_long": 10.0,
    "long_reasoning": 15.0,
    "long_audio_input": 80.0,
    "long_audio_output": 160.0,
    "long_image": 20.0,
    "audio_input": 40.0,
    "image": 2.5,
    "reasoning": 10.0,
    "audio_output": 80.0,
    "source": "our contract of November 2026",
    "catalogue.file": "/etc/kpgate/catalogue.toml",
    "top_ups.name": "shop",
    "alerts.balances_microkpt": [50000000, 5000000],
    "alerts.url": "https://alerts.example.com/kpgate",
    "secret": "env:TOP_UP_SECRET",
    "old_secret": "env:OLD_TOP_UP_SECRET",
    "party": "acme",
    "basis_points": 1000,
}
APART = ("providers.signing",)
"""Tables that do not go with the rest of the example: their lines stay comments where its # are taken away."""
PAGE_HOST = re.compile(r"https?://(?:www\.)?([^/]+)")
PROVIDERS_HEAD = """\
# Providers

A provider that kpgate knows is named by its preset; the address, the API it speaks, how it takes a credential and where
it differs from that API come with the name:

```toml
[[providers]]
name = "mistral"
preset = "mistral"
api_key = "env:MISTRAL_API_KEY"
```

Everything can be set beside it, and then holds instead: a `base_url` of your own keeps the preset's quirks. Where an
address has parts in braces, `url_parts` fills them: `url_parts = { account = "0123abc" }`. Which models a preset's
provider has, and what they cost, is in [the catalogue](catalogue.md) for most of them. `kpgate check` shows what came
from a preset. A provider without one needs `base_url`, and `dialect` where that is not `openai`.

What differs is met on the way, in calls that OpenAI's own clients make as in those of every other dialect:

- Usage is asked for only where that is understood, and counted by kpgate where it does not come; usage, cached tokens
  and reasoning are found where they are, so that the charge is right. The output cap goes into the field that is
  read.
- `developer` messages are `system` where that role is not known; where several lead a chat they are one. Texts in a
  list are one string, `seed` and the ids of calls are spelled, where the provider would refuse them as they are.
- Fields that change no answer (`user`, `metadata`, `store`, `safety_identifier`, `service_tier`, the prompt cache's)
  and members of earlier answers that clients give back (`annotations`, `refusal`, `reasoning_content` and their
  like) are left out where they would be an error, and named in `x-kpgate-dropped`.
- What a provider has not - log probabilities, `n` above 1, a schema, a forced tool, so many stop sequences - is
  refused by the caller's name for it, or left out and named with `drop_unsupported`. Where the caller speaks OpenAI
  as well it goes on as it is, and the provider says what it says; only `n` is refused here.
- `top_k`, which OpenAI itself has not, goes to those that are known to take it.

Bytes in which none of that stands go through untouched. A provider without a preset is taken for one without quirks.

This page is written by `make docs` from `kpgate/domain/presets.py`. The pages are the vendors' own, the addresses as
known in November 2026.
"""
FILES = ("server.tls.cert", "server.tls.key", "server.tls.client_ca", "providers.ca", "catalogue.file")


def toml(value: Any) -> str:
    """A value as TOML writes it. Shape: strings, numbers, booleans, lists and tables of them."""
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()


def example() -> str:
    """`kpgate.example.toml`: every setting, commented out, with what it means and its default."""
    lines = [
        "# Every setting of kpgate, each with its meaning and default. A line without a # changes something;",
        "# as it stands, this file changes nothing. Written by `make docs` from kpgate/domain/settings.py.",
        "#",
        "# A secret is written env:NAME or file:PATH, never in clear. Relative paths are from the working",
        "# directory. The environment comes after this file: KPGATE_SERVER__PORT=80 is [server] port = 80.",
    ]
    for field in fields(Settings).values():
        _example_table(lines, field, field.name, field.name)
    return "\n".join(lines) + "\n"


def _example_table(lines: list[str], field: Field, name: str, header: str) -> None:
    assert field.part is not None
    opened = f"[[{header}]]" if field.kind is Kind.TABLES else f"[{header}]"
    mark = "# " if name in APART else "#"
    lines += ["", *_comment(field.description), f"{mark}{opened}"]
    tables = []
    for inner in fields(field.part).values():
        if inner.part is not None:
            tables.append(inner)
            continue
        path = f"{name}.{inner.name}"
        given = EXAMPLES.get(path, EXAMPLES.get(inner.name)) if _is_open(inner) else inner.default
        default = "required" if inner.required else f"default: {_default(inner)}"
        lines += ["", *_comment(f"{inner.description} ({inner.words}; {default})")]
        lines.append(f"{mark}{inner.name} = {toml(given)}")
    for inner in tables:
        _example_table(lines, inner, f"{name}.{inner.name}", f"{header}.{inner.name}")


def _is_open(field: Field) -> bool:
    """Whether the default shows nothing of how the setting is written."""
    return field.required or field.default in (None, "", (), {})


def _default(field: Field) -> str:
    if field.default is None:
        return "absent"
    return toml(field.default)


def _comment(text: str) -> list[str]:
    """A comment of lines of at most 110 characters. One that a # cannot be taken away from: it has a space."""
    lines, line = [], "#"
    for word in text.split():
        if len(line) + len(word) > 108:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]


def settings_page() -> str:
    """`docs/settings.md`: every setting, by table."""
    lines = [
        "# Settings",
        "",
        "`kpgate.toml` is read from `--config`, else `KPGATE_CONFIG`, else `./kpgate.toml`. The environment comes",
        "after it: `KPGATE_SERVER__PORT=80` is `[server] port = 80`; `__` leads into a table, a number to an item of",
        "a list (`KPGATE_PROVIDERS__0__API_KEY`), and in a header's name `_` stands for `-`. Strings are taken as",
        "they stand, everything else is written as in TOML. Variables that a secret is read from (`env:NAME`),",
        "`KPGATE_CONFIG`, `KPGATE_DATA` and those that Kubernetes sets for a service named kpgate are not settings.",
        "The command line comes last.",
        "",
        "A secret is written `env:NAME` or `file:PATH`, never in clear. Relative paths are from the working",
        "directory. `kpgate check` lists every setting with where its value came from, and every problem.",
        "[kpgate.example.toml](../kpgate.example.toml) has all of them.",
    ]
    for field in fields(Settings).values():
        _settings_table(lines, field, field.name)
    for part, name in REPEATED.items():
        _settings_rows(lines, f"Tables named `{name}`", (part.__doc__ or "").strip().split("\n\n")[0], part)
    return "\n".join(lines) + "\n"


def _settings_table(lines: list[str], field: Field, header: str) -> None:
    assert field.part is not None
    title = f"`[[{header}]]`" if field.kind is Kind.TABLES else f"`[{header}]`"
    if field.part in REPEATED:
        return
    _settings_rows(lines, title, field.description, field.part)
    for inner in fields(field.part).values():
        if inner.part is not None:
            _settings_table(lines, inner, f"{header}.{inner.name}")


def _settings_rows(lines: list[str], title: str, description: str, part: type[msgspec.Struct]) -> None:
    lines += ["", f"## {title}", "", description, ""]
    lines += ["| setting | value | default | meaning |", "|---|---|---|---|"]
    for field in fields(part).values():
        default = "required" if field.required else "see below" if field.part else f"`{_default(field)}`"
        lines.append(f"| `{field.name}` | {field.words} | {default} | {_cell(field.description)} |")


def errors_page() -> str:
    """`docs/errors.md`: every code, by status."""
    lines = [
        "# Errors",
        "",
        "Every refusal and failure has one of these codes, spelled in the caller's dialect. `x-should-retry` says",
        "whether another try can help; `retry-after-ms` says when. The message names what was wrong and where.",
        "",
        "| status | code | at fault | retry | meaning | what to do |",
        "|---|---|---|---|---|---|",
    ]
    for error in sorted(REGISTRY.values(), key=lambda error: (error.status, error.code)):
        cells = (f"`{error.code}`", error.fault, RETRIES[error.retry], error.meaning, error.remedy)
        lines.append(f"| {error.status} | {' | '.join(_cell(str(cell)) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """`docs/metrics.md`: every family that `/metrics` shows."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` of any worker shows all workers. No label takes an unbounded value: no key, no request id.",
        "",
        "| metric | kind | labels | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        lines.append(
            f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {_cell(metric.meaning)} |"
        )
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """`docs/cli.md`: every command with its options."""
    lines = [
        "# Commands",
        "",
        "At a terminal commands print for people, in a pipe one JSON document. Exit codes: 0 well, 1 a problem was",
        "found, 2 wrong usage.",
    ]
    _command(lines, cli, click.Context(cli, info_name="kpgate", **cli.context_settings))
    return "\n".join(lines) + "\n"


def _command(lines: list[str], command: click.Command, context: click.Context) -> None:
    usage = " ".join(command.collect_usage_pieces(context))
    lines += ["", f"## `{context.command_path}`", "", f"`{context.command_path} {usage}`", ""]
    lines.append((command.help or "").replace("\b\n", "").strip())
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    rows = [record for option in options if (record := option.get_help_record(context)) is not None]
    if rows:
        lines += ["", "| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(name)}` | {_cell(help_text)} |" for name, help_text in rows]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed"
            if not inner.hidden:
                _command(lines, inner, click.Context(inner, info_name=name, parent=context))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def providers_page() -> str:
    """`docs/providers.md`: every preset."""
    lines = PROVIDERS_HEAD.splitlines()
    for title, rows in (
        ("With an API of their own", [(n, one) for n, one in PRESETS.items() if one.dialect != "openai"]),
        (
            "That speak OpenAI",
            [(n, one) for n, one in PRESETS.items() if one.dialect == "openai" and not one.local],
        ),
        ("That you run yourself", [(n, one) for n, one in PRESETS.items() if one.local]),
    ):
        lines += ["", f"## {title}", "", "| preset | provider | address | differs in | known from |"]
        lines.append("|---|---|---|---|---|")
        for name, one in sorted(rows):
            host = PAGE_HOST.findall(one.source)[0]
            cells = (f"`{name}`", one.title, f"`{one.base_url}`", _differs(one), f"[{host}]({one.source})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _differs(preset: Preset) -> str:
    said = [f"dialect `{preset.dialect}`"] if preset.dialect != "openai" else []
    if preset.responses:
        said.append("has the Responses API")
    return "; ".join([*said, *preset.quirks.said]) or "-"


PAGES: dict[str, Callable[[], str]] = {
    "kpgate.example.toml": example,
    "docs/settings.md": settings_page,
    "docs/errors.md": errors_page,
    "docs/metrics.md": metrics_page,
    "docs/cli.md": cli_page,
    "docs/providers.md": providers_page,
}


def main() -> None:
    """Write every page that is not what it should be."""
    for name, write in PAGES.items():
        path, text = Path(name), write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            click.echo(f"wrote {name}")


if __name__ == "__main__":
    main()
