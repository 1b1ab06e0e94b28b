"""``[publish NAME]``: a call in one dialect answered by an offer in another."""

from __future__ import annotations

from collections.abc import Mapping

from relay.settings.endpoints import check_server
from relay.settings.faults import Wrong, listed, nearest, quoted
from relay.settings.ini import Section
from relay.settings.keys import PUBLISH_KEYS, DialectKeys
from relay.settings.model import Publication
from relay.settings.values import Sources

LISTENER_KIND = "tcp"
NAMELESS_CALLERS = frozenset({LISTENER_KIND, "websocktunnel", "taas"})
"""Where calls come from that carry nobody's name, so that ``clients`` could not tell them apart."""


def read_publication(
    sources: Sources, section: Section, dialects: Mapping[str, DialectKeys]
) -> Publication:
    """Read one section; what is wrong with it goes to the sources' faults."""
    values = sources.read(section.name, section, PUBLISH_KEYS)
    where = section.place.where
    sources.require(values, PUBLISH_KEYS, where)
    source, target = values.text("from") or "", values.text("to") or ""
    clients, public = values.texts("clients"), values.flag("public")
    faults = sources.faults
    for key, text, kinds in (
        ("from", source, (*dialects, LISTENER_KIND)),
        ("to", target, tuple(dialects)),
    ):
        try:
            if text:
                _check_name(text, kinds)
        except Wrong as wrong:
            faults.add(values.where(key, where), str(wrong))
    nameless = source.partition(":")[0] in NAMELESS_CALLERS
    if public and clients:
        faults.add(values.where("public", where), "everybody and only some clients: keep one line")
    elif nameless and clients:
        faults.add(
            values.where("clients", where),
            f"callers of {quoted(source)} have no name; write public = yes to let everybody in",
        )
    elif nameless and not public:
        faults.add(
            where,
            f"callers of {quoted(source)} have no name, so that everybody could call; "
            "write public = yes if that is meant",
        )
    name = section.name.partition(" ")[2].strip()
    return Publication(name, source, target, clients, public)


def _check_name(text: str, kinds: tuple[str, ...]) -> None:
    kind, colon, rest = text.partition(":")
    if kind not in kinds:
        raise Wrong(
            f"{quoted(text)} begins with none of {listed(sorted(kinds))}{nearest(kind, kinds)}"
        )
    if not colon or not rest:
        raise Wrong(f"{quoted(text)} names nothing; write {kind}:NAME")
    if kind == LISTENER_KIND:
        check_server(text)
