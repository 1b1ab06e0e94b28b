"""Where a request goes: the tunnel's id, the path that its host sees, and what else is served.

Source: websocktunnel.md, sections 2 and 5.1. Ids are opaque: nothing is decoded to find one.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from relay.errors import BadRequest, NotFound
from relay.http import Request
from relay.vocabulary import OfferName

HEARTBEATS = ("/__heartbeat__", "/__lbheartbeat__")
VERSION = "/__version__"
ID_HEADER = "x-websocktunnel-id"
URL_HEADER = "X-Websocktunnel-Client-Url"
ORIGINAL_PATH = "x-websocktunnel-original-path"
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def offer_name(tunnel_id: str) -> OfferName:
    """:returns: the offer of a tunnel"""
    return OfferName(f"websocktunnel:{tunnel_id}")


def decoded_path(request: Request) -> str:
    """:returns: the path with its escapes replaced, latin-1 for bytes

    :raises BadRequest: for an escape that is none
    """
    if BAD_ESCAPE.search(request.path):
        raise BadRequest("a percent sign in the path is not followed by two hex digits")
    return unquote_to_bytes(request.path).decode("latin-1")


def split_target(request: Request) -> tuple[str, str]:
    """:returns: the id, and the target that the host sees: both as they came, undecoded

    :raises NotFound: when there is no id
    """
    target = request.path
    if "?" in request.target:
        target += f"?{request.query}"
    tunnel_id, slash, rest = target.removeprefix("/").partition("/")
    if not tunnel_id:
        raise NotFound("no tunnel is named; its id is the first part of the path: /ID/")
    return tunnel_id, slash + rest or "/"


def original_path(request: Request) -> str:
    """:returns: what the host is told of the path; a decoded line end must not end the header"""
    return CONTROLS.sub(" ", decoded_path(request))
