"""``[publish NAME]``: a call of one name answered by the offer of another, in any dialect."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from relay.errors import ProtocolError
from relay.settings.endpoints import on_loopback, port_of
from relay.settings.faults import Faults, Wrong, listed, nearest, quoted
from relay.settings.ini import Section
from relay.settings.keys import PUBLISH_KEYS, DialectKeys
from relay.settings.model import TCP, Callee, Publication
from relay.settings.schema import Naming
from relay.settings.values import Sources, Values
from relay.vocabulary import OfferName

_PORT = Naming(on_loopback, nameless=True)
"""Of ``tcp:…``, in ``from`` alone: the router listens there, and whoever connects is a caller."""


def read_publication(
    sources: Sources,
    section: Section,
    dialects: Mapping[str, DialectKeys],
    spoken: Collection[str],
) -> Publication | None:
    """Read one section; what is wrong with it goes to the sources' faults.

    :param dialects: the installed ones
    :param spoken: those that this router speaks
    :returns: None when either of the two names is wrong
    """
    values = sources.read(section.name, section, PUBLISH_KEYS)
    where = section.place.where
    sources.require(values, PUBLISH_KEYS, where)
    clients, public = values.texts("clients"), values.flag("public")
    names = _Names(values, where, dialects, spoken, sources.faults)
    source, target = names.read("from"), names.read("to")
    if source is not None and target is not None:
        names.check_service(source, target)
        names.check_topic(source, target)
    if public and clients:
        sources.faults.add(
            values.where("public", where), "everybody and only some clients: keep one line"
        )
    elif source is not None and names.naming(source.dialect).nameless and not public:
        nobody = f"callers of {quoted(str(source))} have no name"
        if clients:
            sources.faults.add(
                values.where("clients", where),
                f"{nobody}; write public = yes to let everybody in",
            )
        else:
            sources.faults.add(
                where,
                f"{nobody}, so that everybody could call; write public = yes if that is meant",
            )
    if source is None or target is None:
        return None
    name = section.name.partition(" ")[2].strip()
    if source.dialect == TCP and not port_of(source.offer):
        source = source._replace(service=name)  # several may have a port of the system's choice
    refill_s = names.naming(target.dialect).refill_s
    return Publication(name, source, target, clients, public, refill_s)


class _Names:
    """The names in one section."""

    def __init__(
        self,
        values: Values,
        where: str,
        dialects: Mapping[str, DialectKeys],
        spoken: Collection[str],
        faults: Faults,
    ) -> None:
        self._values = values
        self._where = where
        self._namings = {
            name: keys.traits.naming
            for name, keys in dialects.items()
            if keys.traits.naming is not None
        }
        self._unserved = set(dialects) - set(self._namings)
        self._spoken = spoken
        self._faults = faults

    def naming(self, dialect: str) -> Naming:
        """:returns: how a dialect that was read here writes its names"""
        return _PORT if dialect == TCP else self._namings[dialect]

    def read(self, key: str) -> Callee | None:
        """:returns: None when there is none, or a fault was noted"""
        text = self._values.text(key)
        if not text:
            return None
        try:
            return self._parse_port(text, key) if _is_port(text) else self._parse(text, key)
        except Wrong as wrong:
            self._faults.add(self._values.where(key, self._where), str(wrong))
            return None

    def check_service(self, source: Callee, target: Callee) -> None:
        """Note a fault when nobody says which service is to answer."""
        if target.service or self.naming(target.dialect).service is None:
            return
        if source.dialect != target.dialect:
            self._faults.add(
                self._values.where("to", self._where),
                f"{quoted(str(target))} names no service, and a call of {source.dialect} brings "
                f"none that {target.dialect} has; write {target}/SERVICE",
            )

    def check_topic(self, source: Callee, target: Callee) -> None:
        """Note a fault when a topic is to answer what only a host can."""
        if target.topic and self.naming(source.dialect).http:
            self._faults.add(
                self._values.where("to", self._where),
                f"{quoted(str(target))} is a topic, and callers of {source.dialect} speak HTTP, "
                "which nobody there answers",
            )

    def _parse_port(self, text: str, key: str) -> Callee:
        if key != "from":
            raise Wrong(
                f"{quoted(text)}: a port may stand in from, where the router listens; "
                "name what answers"
            )
        return Callee(OfferName(_PORT.offer(text)))

    def _parse(self, text: str, key: str) -> Callee:
        kind, _, rest = text.partition(":")
        served = sorted([*self._namings, TCP] if key == "from" else self._namings)
        if kind in self._unserved:
            raise Wrong(
                f"{quoted(text)}: nothing of {kind} can be published; "
                f"{key} may be of {listed(served, 'or')}"
            )
        if kind not in self._namings:
            raise Wrong(
                f"{quoted(text)} begins with none of {listed(served)}{nearest(kind, served)}"
            )
        naming = self._namings[kind]
        offer, slash, service = (rest, "", "") if naming.topics else rest.partition("/")
        if not offer:
            raise Wrong(f"{quoted(text)} names nothing; write {kind}:NAME")
        if kind not in self._spoken:
            raise Wrong(f"{quoted(text)}: this router does not speak {kind}; add [dialect:{kind}]")
        try:
            name = OfferName(f"{kind}:{naming.offer(offer)}")
            if not slash:
                return Callee(name, topic=naming.topics)
            if naming.service is None:
                raise Wrong(f"{quoted(text)}: {kind} has no services; write {kind}:{offer}")
            if not service:
                raise Wrong(f"{quoted(text)} names no service behind the slash")
            return Callee(name, naming.service(service))
        except (ValueError, ProtocolError) as error:
            raise Wrong(f"{quoted(text)}: {error}") from None


def _is_port(text: str) -> bool:
    """:returns: whether it is an endpoint rather than a name"""
    return text.partition(":")[0] == TCP
