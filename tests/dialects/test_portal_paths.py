"""Paths of portal and what stands in them, byte by byte (sections 2, 4 and 15)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.portal.router import MAX_SERVICES, announced_services
from relay.dialects.portal.wire import MAX_NEXUS, is_service_name, offer_name, parse_route
from relay.errors import BadRequest, MethodNotAllowed, NotFound
from relay.faces import Route
from relay.http import Request

NEXUS = 11400714819323198485


def route(path: str, method: str = "GET") -> Route:
    """Where a request for ``path`` goes."""
    path, _, query = path.partition("?")
    return parse_route(Request(method, path, path, query, (), "192.0.2.1"))


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/connect/host_control", Route("host_control")),
        ("/connect/host_control?services=a", Route("host_control")),
        (f"/connect/host_accept/{NEXUS}", Route("host_accept", (str(NEXUS),))),
        ("/connect/host_accept/0", Route("host_accept", ("0",))),
        ("/connect/host_accept/007", Route("host_accept", ("7",))),
        ("/connect/host_accept/+7", Route("host_accept", ("7",))),
        ("/connect/host_accept/%37", Route("host_accept", ("7",))),
        (f"/connect/host_accept/{MAX_NEXUS}", Route("host_accept", (str(MAX_NEXUS),))),
        ("/connect/client/ssh", Route("client", ("ssh",))),
        ("/connect/client/a", Route("client", ("a",))),
        ("/connect/client/A-Z_09", Route("client", ("A-Z_09",))),
        ("/connect/client/" + "x" * 200, Route("client", ("x" * 200,))),
        ("/connect/client/%73sh", Route("client", ("ssh",))),
        ("/connect/client/ssh?anything", Route("client", ("ssh",))),
    ],
)
def test_paths_of_the_specification(path: str, expected: Route) -> None:
    """Endpoints and their parameters, percent-decoded; the query does not matter."""
    assert route(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "connect/host_control",
        "/connect",
        "/connect/",
        "/connect/other",
        "/connect/host_control/",
        "/connect/host_control/x",
        "/connect/host_accept",
        "/connect/host_accept/",
        "/connect/host_accept/7/",
        "/connect/host_accept/7/x",
        "/connect/client",
        "/connect/client/",
        "/connect/client//ssh",
        "/connect//client/ssh",
        "//connect/client/ssh",
        "/connect/client/ssh/",
        "/Connect/client/ssh",
        "/connect/Client/ssh",
        "/prefix/connect/client/ssh",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_found(path: str, method: str) -> None:
    """Trailing slashes, empty and further segments included, whatever the method."""
    with pytest.raises(NotFound):
        route(path, method)


@pytest.mark.parametrize(
    "path",
    [
        "/connect/client/a.b",
        "/connect/client/a%20b",
        "/connect/client/\xc3\xa9",
        "/connect/client/%C3%A9",
        "/connect/client/a%2Fb",
        "/connect/client/a%00",
        "/connect/client/%",
        "/connect/client/ssh%0A",
        "/connect/host_accept/abc",
        "/connect/host_accept/-1",
        "/connect/host_accept/+",
        "/connect/host_accept/++7",
        "/connect/host_accept/0x10",
        "/connect/host_accept/7.0",
        "/connect/host_accept/1_000",
        "/connect/host_accept/%D9%A7",
        "/connect/host_accept/7%0A",
        "/connect/host_accept/%207",
        f"/connect/host_accept/{MAX_NEXUS + 1}",
        "/connect/host_accept/" + "9" * 5000,
    ],
)
def test_malformed_parameters_are_bad_requests(path: str) -> None:
    """Service names are ASCII letters, digits, - and _; a nexus is a decimal of 64 bits."""
    with pytest.raises(BadRequest):
        route(path)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE", "get"])
@pytest.mark.parametrize("path", ["/connect/client/ssh", "/connect/client/a.b"])
def test_methods_are_judged_before_parameters(method: str, path: str) -> None:
    """405 with the original's Allow, also where the parameter is malformed."""
    with pytest.raises(MethodNotAllowed) as refused:
        route(path, method)
    assert refused.value.allow == "GET,HEAD"


def test_head_is_no_handshake() -> None:
    """HEAD gets as far as the credential, and is answered over plain HTTP."""
    assert route("/connect/client/ssh", "HEAD") == Route("client", ("ssh",), websocket=False)
    with pytest.raises(BadRequest):
        route("/connect/client/a.b", "HEAD")


SEGMENTS = st.one_of(
    st.sampled_from(["connect", "host_control", "host_accept", "client", "", "7", "ssh", "%", "é"]),
    st.text(max_size=8),
)


@given(st.lists(SEGMENTS, max_size=6), st.sampled_from(["GET", "HEAD", "POST", "BREW"]))
def test_only_documented_errors(segments: list[str], method: str) -> None:
    """Whatever the path, it is a route or one of three refusals."""
    try:
        found = route("/".join(segments), method)
    except (NotFound, MethodNotAllowed, BadRequest):
        return
    assert found.name in ("host_control", "host_accept", "client")
    assert method in ("GET", "HEAD")


@given(st.integers(0, MAX_NEXUS), st.integers(0, 10), st.booleans())
def test_every_nexus_is_accepted(nexus: int, zeros: int, plus: bool) -> None:
    """With leading zeros and one plus sign, in one canonical form."""
    text = "+" * plus + "0" * zeros + str(nexus)
    assert route(f"/connect/host_accept/{text}").parameters == (str(nexus),)


def test_names() -> None:
    """A portal's name in the core, and which service names routers take."""
    assert offer_name(2**64 - 1) == "portal:18446744073709551615"
    assert is_service_name("A-Z_09")
    for name in ("", "a.b", "a b", "é", "\ud800", "ssh\n"):
        assert not is_service_name(name)


# -- announced services ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("services=", None),
        ("services=web", ("web",)),
        ("services=web,ssh,web", ("web", "ssh")),
        ("services=web%2Cssh&other=1", ("web", "ssh")),
        ("services=a.b,web", ("web",)),
        ("services=" + ",".join(f"s{n}" for n in range(MAX_SERVICES + 1)), None),
        ("&".join(f"a{n}=1" for n in range(100)), None),
    ],
)
def test_announced_services(query: str, expected: tuple[str, ...] | None) -> None:
    """What a host says of itself, within bounds; silence and nonsense mean: ask it."""
    path = "/connect/host_control"
    request = Request("GET", f"{path}?{query}", path, query, (), "192.0.2.1")
    assert announced_services(request) == expected
