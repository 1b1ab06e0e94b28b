"""``relay token`` with websocktunnel's tokens."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.auth import inspect, mint, verify
from relay.commands.main import main
from relay.commands.token import TOKEN_ENVIRONMENT
from relay.dialects.websocktunnel.tokens import LONGEST_S, SECRET_ENVIRONMENT, credential

SECRET = "a secret of the tests, 0123456789abcdef"
OTHER = "another secret of the tests, 0123456789"
DAY_S = 86400
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without configuration, tokens or secrets."""
    names = (*TOKEN_ENVIRONMENT, *SECRET_ENVIRONMENT, "AUTH_SECRET", "AUDIENCE", "RELAY_CONFIG")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    """A file with the secret."""
    path = tmp_path / "a.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return str(path)


def config(directory: Path, *lines: str) -> str:
    """A router's INI."""
    path = directory / "router.ini"
    head = "[router]\nlisten = tcp:0:interface=127.0.0.1\nstate-dir = made\n"
    path.write_text(head + "\n".join(("[dialect:websocktunnel]", *lines, "")))
    return str(path)


def minted(capsys: Capture, *words: str, secret: str = SECRET) -> dict[str, object]:
    """Mint, and return the claims of what stands alone on standard output."""
    assert main(["token", "websocktunnel", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return verify(credential(out.removesuffix("\n"), (secret.encode(),)), time.time())


def shown(capsys: Capture, *words: str) -> str:
    """What ``show`` prints."""
    assert main(["token", "show", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def token(changed: Mapping[str, object] | None = None, secret: str = SECRET) -> str:
    """A token good for a day, with some claims changed."""
    now = int(time.time())
    good = {"tid": "a", "nbf": now - 60, "exp": now + DAY_S}
    return mint({**good, **(changed or {})}, secret.encode())


def test_defaults(capsys: Capture, secret_file: str) -> None:
    """From a quarter of an hour ago for four days, and without an audience."""
    before = int(time.time())
    made = minted(capsys, "--id", "demo~1.8080", "--secret-file", secret_file)
    assert 0 <= int(str(made["exp"])) - before - 4 * DAY_S <= 5
    assert 0 <= int(str(made["nbf"])) - before + 900 <= 5
    assert made["tid"] == "demo~1.8080"
    assert "aud" not in made


def test_the_longest(capsys: Capture, secret_file: str) -> None:
    """31 days are good at once and pass the rule of 31 days; more cannot be asked for."""
    words = ("--id", "a", "--secret-file", secret_file, "--lifetime")
    made = minted(capsys, *words, "31d")
    assert int(str(made["exp"])) - int(str(made["nbf"])) == LONGEST_S
    assert main(["token", "websocktunnel", *words, "32d"]) == 2
    assert "31 days at most" in capsys.readouterr().err


def test_the_routers_audience(
    capsys: Capture, tmp_path: Path, secret_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in a token of the configured router, unless the command line says another."""
    file = config(tmp_path, f"secret-a-file = {secret_file}", "audience = ws")
    assert minted(capsys, "--id", "a", "--config", file)["aud"] == "ws"
    assert minted(capsys, "--id", "a", "--audience", "x", "--config", file)["aud"] == "x"
    assert "aud" not in minted(capsys, "--id", "a", "--audience", "", "--config", file)
    silent = config(tmp_path, f"secret-a-file = {secret_file}")
    assert "aud" not in minted(capsys, "--id", "a", "--config", silent)
    monkeypatch.setenv("AUDIENCE", "env")
    assert minted(capsys, "--id", "a", "--config", silent)["aud"] == "env"


def test_secrets_of_the_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original's variables need no configuration; the first one signs, either is accepted."""
    monkeypatch.setenv("TASKCLUSTER_PROXY_SECRET_A", SECRET)
    monkeypatch.setenv("TASKCLUSTER_PROXY_SECRET_B", OTHER)
    monkeypatch.setenv("AUDIENCE", "ws")
    assert minted(capsys, "--id", "a")["aud"] == "ws"
    judged = (
        "accepted (judged with the secret of environment TASKCLUSTER_PROXY_SECRET_A or "
        "the secret of environment TASKCLUSTER_PROXY_SECRET_B)"
    )
    assert judged in shown(capsys, token(secret=OTHER))
    assert "refused: the token is for another audience" in shown(capsys, token({"aud": "x"}))


def test_a_made_secret(capsys: Capture, tmp_path: Path) -> None:
    """Only the secret that signs is made; showing makes do with it, and makes none."""
    file = config(tmp_path)
    assert main(["token", "websocktunnel", "--id", "a", "--config", file]) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "made" / "websocktunnel-a.secret"
    assert err == f"made the secret {path}; the router will use it when it starts\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"accepted (judged with the secret of {path})" in shown(
        capsys, out.strip(), "--config", file
    )
    assert [made.name for made in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("audience", "aud", "told"),
    [
        (None, None, "accepted"),
        (None, "ws", "refused: the token has an audience, and this router has none"),
        ("ws", None, "accepted"),
        ("ws", "", "accepted"),
        ("ws", ["a", "ws"], "accepted"),
        ("ws", "other", "refused: the token is for another audience than this router's"),
        ("ws", ["ws", 7], "refused: the token's claim aud is a list with something else"),
    ],
)
def test_show_judges_the_audience(
    capsys: Capture,
    tmp_path: Path,
    secret_file: str,
    audience: str | None,
    aud: object,
    told: str,
) -> None:
    """Whether the configured router takes a token is said with the reason."""
    lines = [f"secret-{letter}-file = {secret_file}" for letter in "ab"]
    file = config(tmp_path, *lines, *([f"audience = {audience}"] if audience else []))
    claims = {} if aud is None else {"aud": aud}
    out = shown(capsys, token(claims), "--config", file)
    assert f"router   {told}" in out


def test_show_without_a_configuration(capsys: Capture, secret_file: str) -> None:
    """With a secret alone the audience cannot be judged, and the meaning says for whom it is."""
    out = shown(capsys, token({"aud": ["x", "\x1b"]}), "--secret-file", secret_file)
    assert 'meaning  lets its bearer register the tunnel "a"' in out
    assert 'for routers whose audience is "x" or "\\u001b"' in out
    assert "accepted" in out


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"exp": int(time.time()) - 3 * 3600 - 60}, "refused: expired 3 h ago"),
        ({"exp": int(time.time()) + 40 * DAY_S}, "refused: the token is valid for more than 31"),
        ({"nbf": 0}, "refused: the token's claim nbf is missing, zero or not a number"),
        ({"tid": 7}, "refused: the token's claim tid is missing"),
    ],
)
def test_show_refused(
    capsys: Capture, secret_file: str, changed: dict[str, object], told: str
) -> None:
    """A token that no router takes is explained all the same."""
    assert told in shown(capsys, token(changed), "--secret-file", secret_file)


def test_json(capsys: Capture, secret_file: str) -> None:
    """As JSON the token comes with its dialect and claims."""
    words = ["token", "websocktunnel", "--id", "a", "--secret-file", secret_file, "--json"]
    assert main(words) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["dialect"] == "websocktunnel"
    assert inspect(value["token"])[1] == value["claims"]


def test_a_configuration_that_is_named_counts(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable does not make up for a named file that cannot be read."""
    monkeypatch.setenv("TASKCLUSTER_PROXY_SECRET_A", SECRET)
    words = ["token", "websocktunnel", "--id", "a", "--config", str(tmp_path / "nowhere.ini")]
    assert main(words) == 1
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "a/b", "a b"])
def test_wrong_id(capsys: Capture, text: str) -> None:
    """What is no id is told with status 2."""
    assert main(["token", "websocktunnel", f"--id={text}"]) == 2
    assert "tunnel's id" in capsys.readouterr().err
