"""``relay token`` mints and explains."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.auth import inspect, mint, verify
from relay.commands.main import main
from relay.commands.token import DIALECTS, TOKEN_ENVIRONMENT, lifetime
from relay.dialects.portal.tokens import credential

SECRET = "a secret of the tests, 0123456789abcdef"
DAY_S = 86400
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without configuration, tokens or secrets."""
    for name in (*TOKEN_ENVIRONMENT, "AUTH_SECRET", "RELAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    """A file with the secret."""
    path = tmp_path / "portal.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A router's INI that names no secret."""
    path = tmp_path / "router.ini"
    path.write_text(
        "[router]\nlisten = tcp:0:interface=127.0.0.1\nstate-dir = made\n[dialect:portal]\n"
    )
    return str(path)


def minted(capsys: Capture, *words: str) -> dict[str, object]:
    """Mint, and return the claims of what stands alone on standard output."""
    assert main(["token", "portal", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return verify(credential(out.removesuffix("\n"), (SECRET.encode(),)), time.time())


def shown(capsys: Capture, *words: str) -> str:
    """What ``show`` prints."""
    assert main(["token", "show", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def token(**claims: object) -> str:
    """A host's token of the secret above, good for a day, with some claims changed."""
    good = {"sub": "lab", "exp": int(time.time()) + DAY_S, "role": "host", "portal_id": 7}
    return mint({**good, **claims}, SECRET.encode())


# -- minting ---------------------------------------------------------------------------------------


def test_defaults(capsys: Capture, secret_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subject is this host and the lifetime 30 days."""
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")
    before = int(time.time())
    claims = minted(capsys, "host", "--id", "1234", "--secret-file", secret_file)
    expires = claims.pop("exp")
    assert isinstance(expires, int)
    assert 0 <= expires - before - 30 * DAY_S <= 5
    assert claims == {"sub": "this-host", "role": "host", "portal_id": 1234}


def test_all_options(capsys: Capture, secret_file: str) -> None:
    """Role, id, subject and lifetime are as asked for."""
    words = ("client", "--id", str(2**64 - 1), "--subject", "ü", "--lifetime", "2h")
    claims = minted(capsys, *words, "--secret-file", secret_file)
    expires = claims.pop("exp")
    assert isinstance(expires, int)
    assert abs(expires - time.time() - 7200) < 5
    assert claims == {"sub": "ü", "role": "client", "portal_id": 2**64 - 1}


def test_json(capsys: Capture, secret_file: str) -> None:
    """As JSON the token comes with its dialect and claims."""
    words = ["token", "portal", "host", "--id", "1", "--secret-file", secret_file, "--json"]
    assert main(words) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["dialect"] == "portal"
    assert inspect(value["token"])[1] == value["claims"]


def test_secret_of_the_environment(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AUTH_SECRET needs no configuration, and yields to a file that is named."""
    monkeypatch.setenv("AUTH_SECRET", SECRET)
    assert minted(capsys, "host", "--id", "1")
    other = tmp_path / "other"
    other.write_text("x" * 32)
    other.chmod(0o600)
    assert main(["token", "portal", "host", "--id", "1", "--secret-file", str(other)]) == 0
    made = capsys.readouterr().out.strip()
    assert verify(credential(made, (b"x" * 32,)), time.time())


def test_secret_of_the_configuration(capsys: Capture, config: str, tmp_path: Path) -> None:
    """The router's secret is made if it never was, once, and standard error says where."""
    words = ["token", "portal", "host", "--id", "1", "--config", config]
    path = tmp_path / "made" / "portal.secret"
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == f"made the secret {path}; the router will use it when it starts\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().strip().encode()
    assert verify(credential(out.strip(), (key,)), time.time())
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert verify(credential(out.strip(), (key,)), time.time())


def test_configuration_without_portal(capsys: Capture, tmp_path: Path) -> None:
    """A router that does not speak portal has no secret for it."""
    path = tmp_path / "router.ini"
    path.write_text("[router]\nlisten =\n")
    assert main(["token", "portal", "host", "--id", "1", "--config", str(path)]) == 1
    assert "router.ini" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        ("", "is empty"),
        ("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "key"),
    ],
)
def test_bad_secret(capsys: Capture, tmp_path: Path, content: str | None, told: str) -> None:
    """A secret that is missing or none at all is named in one line."""
    path = tmp_path / "s"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    assert main(["token", "portal", "host", "--id", "1", "--secret-file", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_weak_secret(capsys: Capture, tmp_path: Path) -> None:
    """A short secret that others may read works, and both are warned about."""
    path = tmp_path / "s"
    path.write_text("short")
    path.chmod(0o644)
    assert main(["token", "portal", "host", "--id", "1", "--secret-file", str(path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.split(".")) == 3
    assert [line.partition(":")[0] for line in err.splitlines()] == ["warning", "warning"]
    assert "short" not in err.replace(str(path), "")


def test_hint_on_a_terminal(
    capsys: Capture, secret_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal standard error tells lifetime and secret's place, output the token alone."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["token", "portal", "host", "--id", "1", "--secret-file", secret_file]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", out)
    assert err == f"valid for 30 d; signed with the secret of {secret_file}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["host"], "--id"),
        (["host", "--id", "x"], "portal id"),
        (["guest", "--id", "1"], "guest"),
        (["host", "--id", "1", "--lifetime", "30"], "90s, 15m, 12h, 30d or 4w"),
        (["host", "--id", "1", "--lifetime", "5000w"], "2106-02-07"),
        (["host", "--id", "1", "--lifetime", "999999999w"], "2106-02-07"),
        (["host", "--id", "1", "--secret-file", "a", "--config", "b"], "--config"),
    ],
)
def test_wrong_usage(capsys: Capture, words: list[str], told: str) -> None:
    """What cannot be asked for is told with status 2."""
    assert main(["token", "portal", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 30 * DAY_S), ("4w", 28 * DAY_S)],
)
def test_lifetime(text: str, seconds: int) -> None:
    """A lifetime is a number and its unit."""
    assert lifetime(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "30D", "1y", "٣d"])
def test_bad_lifetime(text: str) -> None:
    """Anything else is refused with examples of what would do."""
    with pytest.raises(argparse.ArgumentTypeError, match="90s, 15m, 12h, 30d or 4w"):
        lifetime(text)


# -- explaining ------------------------------------------------------------------------------------


def test_show(capsys: Capture, secret_file: str) -> None:
    """Claims, times in words, dialect, meaning, and what the router says; never the secret."""
    now = int(time.time())
    out = shown(
        capsys,
        token(exp=now + 29 * DAY_S + 600, iat=now - 7200, nbf=now - 90),
        "--secret-file",
        secret_file,
    )
    assert re.search(r"^dialect +portal$", out, re.M)
    assert 'lets "lab" be the host of portal 7' in out
    assert re.search(
        r"^exp +\d+   expires in 29 d \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)$", out, re.M
    )
    assert "issued 2 h ago" in out
    assert "valid since 1 min" in out
    assert f"accepted (judged with the secret of {secret_file})" in out
    assert SECRET not in out


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"exp": int(time.time()) - 3 * 3600 - 60}, "refused: expired 3 h ago"),
        ({"portal_id": "7"}, "refused: the token's claim portal_id"),
        ({"role": "Host"}, "refused: the token's claim role"),
        ({"aud": "portal"}, "refused: the token has an audience"),
    ],
)
def test_show_refused(
    capsys: Capture, secret_file: str, changed: dict[str, object], told: str
) -> None:
    """A token that the router would refuse is explained all the same, with the reason."""
    assert told in shown(capsys, token(**changed), "--secret-file", secret_file)


def test_show_other_secret(capsys: Capture, config: str, tmp_path: Path) -> None:
    """A token of another router is found out by the configuration's secret."""
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "portal.secret"
    path.write_text("another secret, another secret, 42")
    path.chmod(0o600)
    out = shown(capsys, token(), "--config", config)
    assert "refused: the token is not signed with a secret of this router" in out
    assert str(path) in out


def test_show_makes_nothing(capsys: Capture, config: str, tmp_path: Path) -> None:
    """A router that never started has no secret to judge with, and showing makes none."""
    assert main(["token", "show", token(), "--config", config]) == 1
    assert "does not exist yet" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_show_a_file(capsys: Capture, tmp_path: Path) -> None:
    """A file's name in a token's place is read."""
    path = tmp_path / "web.token"
    path.write_text(f"PORTAL_TOKEN={token()}\n")
    path.chmod(0o600)
    assert 'lets "lab" be the host' in shown(capsys, str(path))


def test_show_without_router(capsys: Capture) -> None:
    """Without a router to ask the token is explained, and one is asked for."""
    out = shown(capsys, token())
    assert "not checked: name the router's configuration with --config" in out
    assert 'lets "lab" be the host' in out


def test_show_of_no_dialect(capsys: Capture, secret_file: str) -> None:
    """A token of no known dialect is explained as far as any token can be."""
    out = shown(capsys, mint({"who": "x", "exp": 5}, b"k"), "--secret-file", secret_file)
    assert "none that is known here" in out
    assert re.search(r'^who +"x"$', out, re.M)
    assert "1970-01-01 00:00:05 UTC" in out
    assert "not checked: no dialect here has such tokens" in out


def test_show_odd_times(capsys: Capture) -> None:
    """Times beyond the calendar or of another type are no obstacle."""
    out = shown(capsys, token(exp=2**64, nbf="x", iat=True))
    assert "expires in 9999 y" in out
    assert re.search(r'^nbf +"x"$', out, re.M)


def test_show_does_not_steer_terminals(capsys: Capture) -> None:
    """Control characters of a stranger's token are escaped wherever they stand."""
    assert "\x1b" not in shown(capsys, mint({"portal_id": "\x1b", "a\x1b": "\x1b"}, b"k"))


def test_show_json(capsys: Capture, secret_file: str) -> None:
    """All of it as JSON."""
    text = token()
    value = json.loads(shown(capsys, text, "--secret-file", secret_file, "--json"))
    assert value["dialect"] == "portal"
    assert value["header"] == {"alg": "HS256", "typ": "JWT"}
    assert value["claims"] == inspect(text)[1]
    assert re.match(r"expires in 2[34] h ", value["times"]["exp"])
    assert value["router"]["accepted"] is True


@pytest.mark.parametrize("line", ["{}\n", "{}", "PORTAL_TOKEN={}\n", "Bearer {}\n", " {} \r\n"])
def test_show_stdin(capsys: Capture, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A dash reads one line of standard input, as other programs print tokens."""
    data = io.BytesIO(line.format(token()).encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
    assert 'lets "lab" be the host' in shown(capsys, "-")


@pytest.mark.parametrize("name", TOKEN_ENVIRONMENT)
def test_show_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without an argument the environment's token is shown."""
    monkeypatch.setenv(name, token())
    assert 'lets "lab" be the host' in shown(capsys)


def test_show_nothing(capsys: Capture) -> None:
    """Without any token the safe way to give one is told."""
    assert main(["token", "show"]) == 2
    assert "relay token show -" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "garbage", "a.b.c", "\u00e9.\u00e9.\u00e9", "x" * 20000])
def test_show_garbage(capsys: Capture, text: str) -> None:
    """What is no token is one line on standard error, which does not repeat it."""
    assert main(["token", "show", text]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert len(err) < 120


def test_show_garbage_bytes(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text are no token either."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(os.urandom(100) + b"\xff")))
    assert main(["token", "show", "-"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_recommends_stdin(capsys: Capture) -> None:
    """Help says that an argument can be seen by others."""
    assert main(["token", "show", "--help"]) == 0
    assert "relay token show - < FILE" in " ".join(capsys.readouterr().out.split())


def test_every_dialect_has_help(capsys: Capture) -> None:
    """Each dialect's subcommand takes lifetime, configuration, secret file and JSON."""
    for name in DIALECTS:
        assert main(["token", name, "--help"]) == 0
        out = capsys.readouterr().out
        assert all(f"--{word}" in out for word in ("lifetime", "config", "secret-file", "json"))
