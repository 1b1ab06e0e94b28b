"""What a host or client says that was started with too little: the command that would do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from relay.settings.faults import listed
from relay.settings.ini import Ini
from relay.settings.keys import DEFAULT_DIALECT
from relay.settings.schema import Key, Kind
from relay.settings.values import Sources
from relay.vocabulary import Role

_ALWAYS_SHOWN = ("dialect", "router", "token-file", "service")


def too_little(
    role: Role,
    sources: Sources,
    ini: Ini | None,
    missing: Sequence[Key],
    keys: Sequence[Key],
    services: bool,
) -> tuple[str, str]:
    """Say what is missing, and how a complete command would look.

    :param missing: the required keys that nobody said
    :param keys: all keys of the tunnel's dialect
    :param services: whether its tunnels have services with names
    :returns: the program, and the one line of its fault
    """
    program = f"relay-{role.value}"
    sections = () if ini is None else ini.sections
    none = ini is not None and not any(name.startswith(f"{role.value}:") for name in sections)
    found = f"{ini.shown} has no section [{role.value}:NAME]; " if ini and none else ""
    names = [_wanted(key) for key in missing]
    shown = [
        key
        for key in keys
        if (services or key.name != "service")
        and (key.required or key.name not in ("router", "token-file"))
    ]
    command = " ".join(["twistd", "-n", program, *_arguments(sources, missing, shown)])
    return program, f"{found}missing {listed(names)}: try: {command}"


def _wanted(key: Key) -> str:
    if key.kind is Kind.SECRET_FILE:
        return "a token" if key.name == "token-file" else "a secret"
    return f"{' or '.join((key.name, *key.unless))} ({key.help})"


def _arguments(sources: Sources, missing: Sequence[Key], keys: Sequence[Key]) -> list[str]:
    arguments = []
    for key in keys:
        given = sources.options.get(key.name, ())
        if not given and (key.name in _ALWAYS_SHOWN or key in missing):
            given = [_example(sources, key)]
        for text in given:
            arguments += [f"--{key.name}", shlex.quote(text)]
    return arguments


def _example(sources: Sources, key: Key) -> str:
    if key.name == "dialect":
        return DEFAULT_DIALECT
    said = sources.find(key, None, take_options=False)
    if said is not None and not said[1].secret:
        return said[1].pieces[0].text
    return key.example or key.name.upper()
