"""The daemons as users start them: exit status, signals, reload, systemd, and what they say."""

from __future__ import annotations

import signal
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest
import trustme

from relay.auth import mint
from tests.dialects.taas_inis import PROVISIONING
from tests.relay_command import relay
from tests.twistd_program import Daemon, daemon, run

SECRET = "a secret of more than thirty-two bytes"
ROUTER_INI = """\
[router]
listen = tcp:0:interface=127.0.0.1
admin = tcp:0:interface=127.0.0.1
state-dir = state
[dialect:portal]
secret-file = portal.secret
"""
NOBODY = "ws://127.0.0.1:1"


def write(path: Path, text: str) -> Path:
    """:returns: the file, which only we may read"""
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds relay.ini, the secret, and a token for each role."""
    write(tmp_path / "portal.secret", SECRET)
    write(tmp_path / "relay.ini", ROUTER_INI)
    for role in ("host", "client"):
        claims = {"sub": role, "exp": int(time.time()) + 3600, "role": role, "portal_id": 7}
        write(tmp_path / f"{role}.token", mint(claims, SECRET.encode()))
    return tmp_path


def host(folder: Path, url: str, token: str = "host.token") -> list[str | Path]:
    """:returns: the words that start a host"""
    options = ("--router", url, "--token-file", folder / token, "--forward", "tcp:127.0.0.1:9")
    return ["relay-host", *options]


def listening(router: Daemon) -> str:
    """:returns: the URL of the router's first listener"""
    return router.says("listening at ").split()[4]


# -- exit status ---------------------------------------------------------------------------------


def test_refused_at_first(folder: Path) -> None:
    """Credentials that are refused at the very first connect end a host with status 1."""
    write(folder / "wrong.token", mint({"sub": "x", "exp": 1 << 31}, b"another secret" * 3))
    with daemon("relay-router", "--config", folder / "relay.ini") as router:
        url = listening(router)
        status, lines = run(*host(folder, url, "wrong.token"), folder=folder)
        assert status == 1
        assert "gave up on " in lines[-2]
        assert "token-invalid: " in lines[-2]
        assert lines[-1].endswith("no tunnel is left")
        with daemon(*host(folder, url, "wrong.token"), "--reconnect", "always") as stubborn:
            stubborn.says("token-invalid")
            stubborn.says("token-invalid")
            stubborn.send(signal.SIGTERM)
            assert stubborn.ends() == 0


def test_first_failure(folder: Path) -> None:
    """Who is told not to connect again exits with status 1 when nothing listens."""
    status, lines = run(*host(folder, NOBODY), "--reconnect", "no", folder=folder)
    assert status == 1
    assert "gave up on " in lines[-2]


def test_token_on_standard_input(folder: Path) -> None:
    """The first line is the token; an input that ends without one is none."""
    words = [*host(folder, NOBODY), "--token-file", "-"]
    with daemon(*words, "--reconnect", "no", folder=folder) as started:
        assert started.process.stdin is not None
        started.process.stdin.write((folder / "host.token").read_text() + "\n")
        started.process.stdin.flush()
        assert "nothing listens at 127.0.0.1:1" in started.says("gave up on ")
        assert started.ends() == 1
    with daemon(*words, folder=folder) as started:
        assert started.process.stdin is not None
        started.process.stdin.close()
        assert "token-missing" in started.says("gave up on ")
        assert started.ends() == 1


# -- signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["router", "host"])
def test_signals_at_once(folder: Path, name: str) -> None:
    """A program that says that it is ready survives SIGHUP, and ends in order on SIGTERM."""
    router = ["relay-router", "--config", folder / "relay.ini"]
    words = router if name == "router" else host(folder, NOBODY)
    with daemon(*words, folder=folder) as started:
        started.says("ready")
        started.send(signal.SIGHUP)
        started.says("reloaded")
    with daemon(*words, folder=folder) as started:
        started.says("ready")
        started.send(signal.SIGTERM)
        assert started.ends() == 0


def test_reload_of_what_it_cannot_take_over(folder: Path) -> None:
    """A reload says what will count only from the next start on."""
    config = folder / "relay.ini"
    with daemon("relay-router", "--config", config) as router:
        router.says("ready")
        write(config, ROUTER_INI.replace("listen = tcp:0", "drain-s = 1\nlisten = tcp:1"))
        router.send(signal.SIGHUP)
        assert "[router] listen has changed" in router.says(" warn ")
        router.says("reloaded")


def test_reload_of_another_certificate(folder: Path) -> None:
    """A reload takes over certificates under other names, and keeps the old ones where it fails."""
    config = folder / "relay.ini"
    for name in ("one", "two"):
        issued = trustme.CA().issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    ini = ROUTER_INI.replace("listen =", "listen-tls =")
    ini += "[tls]\ncertificate = one.crt\nkey = one.key\n"
    write(config, ini)
    with daemon("relay-router", "--config", config) as router:
        port = int(listening(router).rpartition(":")[2])
        router.says("ready")
        first = certificate(port)
        write(config, ini.replace("one.crt", "two.crt"))
        router.send(signal.SIGHUP)
        assert "does not fit" in router.says("not reloaded")
        assert certificate(port) == first
        write(config, ini.replace("one", "two"))
        router.send(signal.SIGHUP)
        router.says("reloaded")
        assert certificate(port) != first


def certificate(port: int) -> str:
    """:returns: what is shown to those who connect"""
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_failed_handshakes(folder: Path) -> None:
    """A router says why a visitor of its TLS port did not get in."""
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "relay.key")
    issued.cert_chain_pems[0].write_to_path(folder / "relay.crt")
    ini = ROUTER_INI.replace("listen =", "listen-tls =")
    ini += "[tls]\ncertificate = relay.crt\nkey = relay.key\n"
    with daemon("relay-router", "--config", write(folder / "relay.ini", ini)) as router:
        port = listening(router).rpartition(":")[2]
        router.says("ready")
        run(*host(folder, f"ws://127.0.0.1:{port}"), "--reconnect", "no")
        assert "use wss:// or https://" in router.says("tls-failed: plain HTTP arrived")
        run(*host(folder, f"wss://localhost:{port}"), "--reconnect", "no")
        assert "does not trust our certificate" in router.says("tls-failed: ")


def test_reload_of_a_host(folder: Path) -> None:
    """A host looks at its INI again, and says what is wrong with it or will change."""
    section = "[host:web]\nrouter = ws://127.0.0.1:1\ntoken-file = host.token\n"
    config = write(folder / "host.ini", section + "forward = tcp:127.0.0.1:9\n")
    with daemon("relay-host", "--config", config) as started:
        started.says("ready")
        write(config, section + "forwrd = tcp:127.0.0.1:9\n")
        started.send(signal.SIGHUP)
        assert 'did you mean "forward"' in started.says("[host:web] forwrd")
        write(config, section + "forward = tcp:127.0.0.1:10\n")
        started.send(signal.SIGHUP)
        assert "[host:web]: changed" in started.says(" warn ")
        started.says("reloaded")


# -- systemd -------------------------------------------------------------------------------------


def test_notifications(folder: Path) -> None:
    """The service manager hears of the start, the watchdog, a reload and the end."""
    path = str(folder / "notify")
    manager = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(10)
        notified.bind(path)

        def told(word: str) -> None:
            while (said := notified.recv(100).decode()) != word:
                assert said == "WATCHDOG=1"

        with daemon("relay-router", "--config", folder / "relay.ini", env=manager) as router:
            told("READY=1")
            assert notified.recv(100) == b"WATCHDOG=1"
            router.send(signal.SIGHUP)
            told("RELOADING=1")
            told("READY=1")
            router.send(signal.SIGTERM)
            told("STOPPING=1")
            assert router.ends() == 0


SOCKET_UNIT = """\
import os, sys
listening = int(sys.argv[1])
os.dup2(listening, 3)
names = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "relay"}
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, **names})
"""


def test_socket_activation(folder: Path) -> None:
    """A socket that systemd opened is served; one that it did not pass is named in one line."""
    ini = ROUTER_INI.replace("listen = tcp:0:interface=127.0.0.1", "listen = {}")
    config = write(folder / "relay.ini", ini.format("systemd:domain=INET:index=0"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        launcher = [sys.executable, "-c", SOCKET_UNIT, str(number)]
        words = ("relay-router", "--config", config)
        with daemon(*words, launcher=launcher, pass_fds=(number,)) as router:
            assert listening(router) == f"ws://127.0.0.1:{listener.getsockname()[1]}"
            router.says("ready")
    status, lines = run("relay-router", "--config", config)
    assert status == 1
    assert "systemd passed no such socket" in lines[-1]


# -- files ---------------------------------------------------------------------------------------


def test_token_that_others_may_read(folder: Path) -> None:
    """It is warned about, and works."""
    (folder / "host.token").chmod(0o644)
    with daemon(*host(folder, NOBODY)) as started:
        assert "others may read the secret; try: chmod 600" in started.says(" warn ")
        started.says("ready")


def test_provisioning_that_others_may_read(tmp_path: Path) -> None:
    """It holds a secret, too."""
    file = write(tmp_path / "alpha.js", PROVISIONING)
    file.chmod(0o644)
    words = ["--dialect", "taas", "--provisioning-file", str(file), "--router", NOBODY]
    with daemon("relay-host", *words, "--forward", "tcp:127.0.0.1:9") as started:
        assert f"others may read the secret; try: chmod 600 {file}" in started.says(" warn ")


def test_wrong_certificates(folder: Path) -> None:
    """A router and relay check name file and section of a key that does not fit, and why."""
    for name in ("one", "two"):
        issued = trustme.CA().issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    ini = ROUTER_INI.replace("listen =", "listen-tls =")
    config = write(folder / "r.ini", ini + "[tls]\ncertificate = one.crt\nkey = two.key\n")
    status, (line,) = run("relay-router", "--config", config)
    assert status == 1
    assert line.startswith(f"{config}: [tls] key {folder}/two.key: does not fit the first certif")
    checked = relay("check", config)
    assert (checked.returncode, checked.stderr.decode().rstrip()) == (1, line)


# -- listeners -----------------------------------------------------------------------------------


def test_unix_sockets_are_named(folder: Path) -> None:
    """Listeners on Unix sockets are shown by their path, and relay status finds the admin one."""
    ini = "[router]\nlisten = unix:r.sock\nadmin = unix:a.sock\nstate-dir = state\n"
    config = write(folder / "u.ini", f"{ini}[dialect:portal]\nsecret-file = portal.secret\n")
    with daemon("relay-router", "--config", config, folder=folder) as router:
        assert "listening at unix:r.sock for portal" in router.says("listening")
        assert "admin at unix:a.sock" in router.says("admin")
        router.says("ready")
        assert relay("status", "--config", config, folder=folder).returncode == 0


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("tcp:0:interface=192.0.2.1", "Cannot assign requested address; name an address of this"),
        ("unix:nowhere/r.sock", "unix:nowhere/r.sock: No such file or directory; make the folder"),
        ("ssl:0:privateKey=nowhere.pem", "No such file or directory: "),
        ("relay:somewhere", "cannot listen at relay:somewhere: "),
    ],
)
def test_what_cannot_listen(folder: Path, endpoint: str, why: str) -> None:
    """An endpoint that cannot be had is one line and status 1, for routers and for clients."""
    config = ("--config", folder / "relay.ini")
    status, lines = run("relay-router", *config, "--listen", endpoint, folder=folder)
    assert status == 1
    assert why in lines[-1]
    options = ("--router", NOBODY, "--token-file", folder / "client.token", "--listen", endpoint)
    status, lines = run("relay-client", *options, folder=folder)
    assert status == 1
    assert why in lines[-2]


def test_admin_without_proxy_protocol(folder: Path) -> None:
    """The PROXY protocol is for those in front of the public listeners, not for the operator."""
    more = "proxy-protocol = yes\ntrusted-proxies = 10.0.0.1\n"
    ini = ROUTER_INI.replace("[dialect", f"{more}[dialect")
    with daemon("relay-router", "--config", write(folder / "relay.ini", ini)) as router:
        admin = router.says("admin at ").split()[-1]
        router.says("ready")
        assert relay("status", "--admin", admin).returncode == 0


# -- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--tokn-file", 'unknown option --tokn-file; did you mean "--token-file"?'),
        ("relay.ini", '"relay.ini" is no option'),
    ],
)
def test_wrong_words(folder: Path, word: str, said: str) -> None:
    """A slip in the command line is one line with the nearest right spelling."""
    status, (line,) = run("relay-host", word, folder=folder)
    assert status == 1
    assert line.startswith(said)
