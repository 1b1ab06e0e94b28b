"""One host's or client's section: its values checked against each other."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from relay.settings.certificates import read_files
from relay.settings.faults import Faults, Wrong, quoted
from relay.settings.ini import Section
from relay.settings.model import Door, Limits, TunnelSettings
from relay.settings.rules import check_liveness
from relay.settings.schema import Key, Traits
from relay.settings.urls import check_proxy, masked, proxy_variable
from relay.settings.values import Sources, Values
from relay.vocabulary import Role

CREDENTIAL_KEYS = ("token-file", "secret-file", "token-command")
"""Words for one thing; dialects differ in which of them their users know."""
NAME_KEYS = ("id", "name", "agent", "label")
"""What a tunnel without a section is called by: the first of these that it has."""
_SERVICE = re.compile(r"[A-Za-z0-9_-]+")


class Tunnel:
    """Makes one tunnel's settings of its section's values."""

    def __init__(
        self, role: Role, sources: Sources, values: Values, label: str, section: Section | None
    ) -> None:
        self._role = role
        self._sources = sources
        self._faults: Faults = sources.faults
        self._values = values
        self._label = label
        self._section = section
        self._place = section.place.where if section else f"relay-{role.value}"

    def settings(
        self, dialect: str, doors_key: str, own: Sequence[Key], traits: Traits
    ) -> TunnelSettings:
        """Put the settings together; what is wrong goes to the sources' faults.

        :param doors_key: ``forward`` or ``listen``
        :param own: the dialect's own keys
        :param traits: the dialect's
        """
        values = self._values
        limits = Limits()
        doors = self._doors(doors_key, traits.services)
        ca_file = values.path("ca-file")
        if ca_file is not None and not os.path.isfile(ca_file):
            self._faults.add(self._where("ca-file"), f"{ca_file} does not exist or is no file")
        window_bytes = values.count("window-bytes")
        if window_bytes == 0:
            self._faults.add(self._where("window-bytes"), "must be greater than 0")
        ping_s, dead_s = values.number("ping-s"), values.number("dead-s")
        ping_s = limits.ping_s if ping_s is None else ping_s
        dead_s = limits.dead_s if dead_s is None else dead_s
        where = values.where("dead-s", values.where("ping-s", self._place))
        check_liveness(ping_s, dead_s, where, self._faults)
        parsed = values.named(key.name for key in own if not key.absent)
        router = values.text("router") or values.text(traits.dials) or ""
        dialled = router or (traits.dialled(parsed) if traits.dialled else "")
        name = self._section.tunnel if self._section else ""
        settings = TunnelSettings(
            role=self._role,
            name=name
            or next(filter(None, map(values.text, NAME_KEYS)), None)
            or (self._first_service(doors) if traits.services else None)
            or dialect,
            dialect=dialect,
            router=router,
            token=next(filter(None, map(values.secret, CREDENTIAL_KEYS)), None),
            doors=doors,
            ca_file=ca_file,
            tls_name=values.text("tls-name"),
            proxy=self._proxy(dialled),
            reconnect=values.text("reconnect") or "yes",
            window_bytes=window_bytes or limits.window_bytes,
            ping_s=ping_s,
            dead_s=dead_s,
            values=parsed,
            cut_through=values.flag("cut-through"),
        )
        if traits.certified:
            read_files(values, self._place, self._faults)
        for key, text in () if traits.tunnel_faults is None else traits.tunnel_faults(settings):
            self._faults.add(values.where(key, f"{self._place} {key}"), text)
        return settings

    def _first_service(self, doors: Sequence[Door]) -> str | None:
        return doors[0].service if doors else self._values.text("service")

    def _where(self, key: str) -> str:
        return self._values.where(key, self._place)

    def _doors(self, key: str, services: bool) -> tuple[Door, ...]:
        service = self._values.text("service") or ""
        if not _SERVICE.fullmatch(service):
            self._faults.add(
                self._where("service"), f"{quoted(service)} has other characters than A-Za-z0-9_-"
            )
        doors = tuple(
            door if door.service else replace(door, service=service)
            for door in self._values.doors(key)
        )
        if self._role is Role.HOST and services:
            names = [door.service for door in doors]
            for twice in sorted({name for name in names if names.count(name) > 1}):
                self._faults.add(
                    self._where(key),
                    f"service {quoted(twice)} is forwarded to two endpoints; "
                    "give each its own name: SERVICE=ENDPOINT",
                )
        return doors

    def _proxy(self, router: str) -> str | None:
        where, text = self._where("proxy"), self._values.text("proxy")
        if text is None:
            variable = proxy_variable(router, self._sources.environ) if router else None
            if variable is None:
                return None
            where = f"environment {variable}"
            text = self._sources.environ[variable].strip()
            # As with other programs, a proxy in the environment needs no scheme.
            text = text if "://" in text else f"http://{text}"
            self._sources.note(self._label, "proxy", masked(text), where)
        try:
            return check_proxy(text)
        except Wrong as wrong:
            self._faults.add(where, str(wrong))
            return None
