"""``relay token`` with session-relay's tokens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay.auth import inspect, verify
from relay.commands.main import main
from relay.commands.token import TOKEN_ENVIRONMENT
from relay.dialects.session_relay.tokens import credential

SECRET = "a secret of the tests, 0123456789abcdef"
OTHER = "another secret of the tests, 0123456789"
AUDIENCE = "https://relay.example.org/access"
VARIABLES = (
    *(f"RELAY_TOKEN_{word}" for word in ("SECRET", "AUDIENCE", "LIFETIME", "TOPIC", "BOOKING_ID")),
    *(f"RELAY_TOKEN_SCOPE_{word}" for word in ("READ", "WRITE", "ADMIN", "OTHER")),
    "RELAY_TOKEN_CONNECTION_TYPE",
    "RELAY_SECRET",
    "RELAY_AUDIENCE",
    "RELAY_URL",
    "RELAY_CONFIG",
)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without configuration, tokens or secrets."""
    for name in (*TOKEN_ENVIRONMENT, *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Secret, audience and topic are in the original's variables."""
    monkeypatch.setenv("RELAY_TOKEN_SECRET", SECRET)
    monkeypatch.setenv("RELAY_TOKEN_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("RELAY_TOKEN_TOPIC", "t")
    return monkeypatch


def config(directory: Path, *lines: str) -> str:
    """A router's INI, with a secret of its own."""
    (directory / "s.secret").write_text(OTHER)
    (directory / "s.secret").chmod(0o600)
    path = directory / "router.ini"
    head = "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = made\n"
    section = ("[dialect:session-relay]", "secret-file = s.secret", *lines, "")
    path.write_text(head + "\n".join(section))
    return str(path)


def minted(capsys: Capture, *words: str, secret: str = SECRET) -> dict[str, object]:
    """Mint, and return the claims of what stands alone on standard output."""
    assert main(["token", "session-relay", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    return verify(credential(out.removesuffix("\n"), (secret.encode(),)), time.time())


def refused(capsys: Capture, *words: str) -> str:
    """The one line that says why nothing is minted."""
    assert main(["token", "session-relay", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_variables_alone(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """They give the original's claims in its order: from a second ago, to write and to read."""
    variables.setenv("RELAY_TOKEN_LIFETIME", "60")
    before = int(time.time())
    made = minted(capsys)
    assert list(made.items())[:5] == [
        ("booking_id", "relay-token-cli"),
        ("topic", "t"),
        ("prefix", "session"),
        ("scopes", ["write", "read"]),
        ("aud", [AUDIENCE]),
    ]
    issued = int(str(made["iat"]))
    assert list(made)[5:] == ["exp", "nbf", "iat"]
    assert 0 <= issued - (before - 1) <= 5
    assert (made["nbf"], made["exp"]) == (issued, issued + 60)


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"ADMIN": "true"}, ["relay:admin", "write", "read"]),
        ({"ADMIN": "t", "READ": "false", "WRITE": "0"}, ["relay:admin"]),
        ({"WRITE": "no"}, ["read"]),
        ({"READ": "", "OTHER": "relay:stats"}, ["write", "read", "relay:stats"]),
        ({"OTHER": "a,b"}, ["write", "read", "a,b"]),
    ],
)
def test_the_variables_of_scopes(
    capsys: Capture, variables: pytest.MonkeyPatch, said: dict[str, str], scopes: list[str]
) -> None:
    """They are booleans as Go reads them, in the original's order; one other is not split."""
    for word, text in said.items():
        variables.setenv(f"RELAY_TOKEN_SCOPE_{word}", text)
    assert minted(capsys)["scopes"] == scopes


def test_options_outweigh_variables(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """Each of them."""
    for name, text in (("LIFETIME", "9"), ("BOOKING_ID", "x"), ("CONNECTION_TYPE", "shell")):
        variables.setenv(f"RELAY_TOKEN_{name}", text)
    assert minted(capsys)["booking_id"] == "x"
    words = ("--topic", "u", "--scope", "read,write", "--scope", "more", "--booking-id", "b")
    others = ("--audience", "A", "--connection-type", "session", "--lifetime", "1h")
    made = minted(capsys, *words, *others)
    assert (made["topic"], made["booking_id"], made["prefix"]) == ("u", "b", "session")
    assert (made["aud"], made["scopes"]) == (["A"], ["read", "write", "more"])
    assert int(str(made["exp"])) - int(str(made["iat"])) == 3600


def test_a_router_gives_secret_and_audience(capsys: Capture, tmp_path: Path) -> None:
    """Its audience, or what that is where nobody says it."""
    words = ("--topic", "t", "--config")
    assert minted(capsys, *words, config(tmp_path), secret=OTHER)["aud"] == [
        "http://127.0.0.1:8080/access"
    ]
    named = config(tmp_path, f"audience = {AUDIENCE}/")
    assert minted(capsys, *words, named, secret=OTHER)["aud"] == [f"{AUDIENCE}/"]


def test_variables_outweigh_the_router(
    capsys: Capture, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    """Its secret and its audience."""
    named = config(tmp_path, "audience = https://other.example.org")
    assert minted(capsys, "--config", named)["aud"] == [AUDIENCE]
    variables.delenv("RELAY_TOKEN_AUDIENCE")
    assert minted(capsys, "--config", named)["aud"] == ["https://other.example.org"]
    file = ("--secret-file", str(tmp_path / "s.secret"), "--audience", "A")
    assert minted(capsys, *file, secret=OTHER)["aud"] == ["A"]


def test_privileges_alone(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """An administrator's token, and one for /status, are of no topic and of no booking."""
    variables.delenv("RELAY_TOKEN_TOPIC")
    for words, scopes in (
        (("--admin",), ["relay:admin"]),
        (("--scope", "relay:stats"), ["relay:stats"]),
        (("--admin", "--scope", "relay:stats"), ["relay:admin", "relay:stats"]),
    ):
        made = minted(capsys, *words)
        assert made["scopes"] == scopes
        assert (made["booking_id"], made["topic"], made["prefix"]) == ("", "", "")
    assert minted(capsys, "--admin", "--booking-id", "b")["booking_id"] == "b"


def test_what_is_missing(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """All of it is told in one line, with the variables' names."""
    variables.delenv("RELAY_TOKEN_AUDIENCE")
    assert "missing --audience A (or RELAY_TOKEN_AUDIENCE, or --config" in refused(capsys)
    variables.delenv("RELAY_TOKEN_TOPIC")
    told = refused(capsys)
    assert "missing --topic T (or RELAY_TOKEN_TOPIC) and --audience A" in told


@pytest.mark.parametrize("text", ["0", "1h", "-5", "soon", "1.5"])
def test_a_lifetime_that_is_none(capsys: Capture, variables: pytest.MonkeyPatch, text: str) -> None:
    """The variable is a number of seconds; an option outweighs it, be it right or wrong."""
    variables.setenv("RELAY_TOKEN_LIFETIME", text)
    assert "RELAY_TOKEN_LIFETIME is no number of seconds from 1 on" in refused(capsys)
    assert minted(capsys, "--lifetime", "1d")


def test_scopes_that_allow_nothing(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """They are not minted."""
    assert "none of these scopes allows anything" in refused(capsys, "--scope", "stats")
    for word in ("READ", "WRITE"):
        variables.setenv(f"RELAY_TOKEN_SCOPE_{word}", "false")
    variables.setenv("RELAY_TOKEN_SCOPE_OTHER", "relay:stats")
    assert "no scope is asked for" in refused(capsys)


def test_show(capsys: Capture, variables: pytest.MonkeyPatch) -> None:
    """It says what a token allows, and whether the router of the variables takes it."""
    assert main(["token", "session-relay", "--booking-id", "b\x1b"]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["token", "show", token]) == 0
    out = capsys.readouterr().out
    assert 'meaning     lets its bearer read and write the topic "t"\n' in out
    assert 'meaning     until the booking "b\\u001b" is cancelled\n' in out
    assert "accepted (judged with the secret of environment RELAY_TOKEN_SECRET)" in out
    variables.setenv("RELAY_TOKEN_SECRET", OTHER)
    assert main(["token", "show", token]) == 0
    assert "refused: the token is not signed with a secret of this router" in (
        capsys.readouterr().out
    )


def test_show_at_a_router(capsys: Capture, tmp_path: Path) -> None:
    """A token for another audience is refused, and both are told."""
    named = config(tmp_path, f"audience = {AUDIENCE}")
    words = ["token", "session-relay", "--topic", "t", "--config", named]
    assert main([*words, "--audience", "A"]) == 0
    token = capsys.readouterr().out.strip()
    assert inspect(token)[1]["aud"] == ["A"]
    assert main(["token", "show", token, "--config", named]) == 0
    assert f"refused: aud [A] does not match this host {AUDIENCE}" in capsys.readouterr().out
