"""JSON as the original host reads and writes it.

Specification: session-relay.md §9.2 and §9.4. What is written is compact UTF-8, with ``<``, ``>``
and ``&`` escaped as well, members in the order given and maps sorted by key. What is read has
member names of any case, unknown members, and ``null`` for a member that is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from relay.errors import BadRequest

_ESCAPED = re.compile("[<>&\u2028\u2029]")
_LONE = re.compile("[\ud800-\udfff]")

Pairs = list[tuple[str, object]]
"""A JSON object's members, in the order of the text."""


class BadJson(BadRequest):
    """A body or command that is no JSON, or JSON of another kind.

    :cvar status: the original's
    """

    status = 500


def encode(value: object) -> bytes:
    """Write compact JSON.

    :param value: of str, lists, tuples, None, and mappings from str, whose order is kept
    """
    return _ESCAPED.sub(_escape, plain(value)).encode()


def plain(value: object) -> str:
    """:returns: compact JSON in which only what must be is escaped"""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sorted_by_key(members: Iterable[tuple[str, object]]) -> Mapping[str, object]:
    """:returns: the same members, in the order of their names' UTF-8 bytes"""
    return dict(sorted(members, key=lambda member: member[0].encode()))


def decode(body: bytes) -> object:
    """Read JSON; an object becomes a list of pairs, so that nothing of it is lost.

    :param body: UTF-8; what is not is replaced
    :raises BadJson: with the position and what is wrong there
    """
    try:
        return json.loads(
            body.decode("utf-8", "replace"),
            object_pairs_hook=_Object,
            parse_int=float,  # of any length, in linear time
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadJson("no JSON that can be read: it is nested too deep") from None
    except ValueError as error:
        raise BadJson(f"no JSON: {error}"[:200]) from None


def members(value: object, names: Iterable[str], what: str) -> Mapping[str, object]:
    """Take members from a decoded object, whatever the case of their names; the last one counts.

    :param names: in lower case
    :param what: what the object is, for the error
    :returns: those that are there and not ``null``
    :raises BadJson: when it is no object; ``null`` is an empty one
    """
    if value is None:
        return {}
    if not isinstance(value, _Object):
        raise BadJson(f"{what} is a JSON object, and this is {_kind(value)}")
    wanted = frozenset(names)
    found = ((name.lower(), member) for name, member in value)
    return {name: member for name, member in found if name in wanted and member is not None}


def text_of(value: object, name: str) -> str:
    """:returns: a member that is a string. :raises BadJson: when it is none"""
    if not isinstance(value, str):
        raise BadJson(f'"{name}" is a string, and this is {_kind(value)}')
    return _LONE.sub("\ufffd", value)


def texts_of(value: object, name: str) -> tuple[str, ...]:
    """:returns: a member that is an array of strings, ``null`` in it an empty one

    :raises BadJson: when it is none
    """
    if not isinstance(value, list) or isinstance(value, _Object):
        raise BadJson(f'"{name}" is an array of strings, and this is {_kind(value)}')
    return tuple(
        "" if item is None else text_of(item, f"{name}[{index}]")
        for index, item in enumerate(value)
    )


class _Object(Pairs):
    """The members of an object, which could else be taken for an array of arrays."""


def _kind(value: object) -> str:
    if isinstance(value, _Object):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bool):
        return "a boolean"
    return "null" if value is None else "a number"


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
