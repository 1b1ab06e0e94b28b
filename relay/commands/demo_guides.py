"""What the demo of a tunnel says to do next: on its page and, where there is more, in lines."""

from __future__ import annotations

from string import Template
from typing import NamedTuple


class Guide(NamedTuple):
    """What can be done with a dialect. Members are templates, of HTML and of lines.

    :ivar beside: HTML of what else leads to the page while the demo runs
    :ivar machines: the commands for machines of one's own, as HTML
    :ivar urls: lines of what else can be opened: what it is, and where
    :ivar commands: lines to paste
    """

    beside: str
    machines: str
    urls: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()


_PORTAL = Guide(
    "",
    """\
twistd -n relay-router --config etc/relay.ini
relay token portal host --id 1234 --config etc/relay.ini &gt; web.token
relay token portal client --id 1234 --config etc/relay.ini &gt; me.token

twistd -n relay-host   --router wss://relay.example.org --token-file web.token \\
                       --service web --forward tcp:127.0.0.1:8080

twistd -n relay-client --router wss://relay.example.org --token-file me.token \\
                       --service web --listen tcp:8000:interface=127.0.0.1""",
)

_TAAS = Guide(
    """\
<p>Without a client, by <a href="$named">the name of the thing</a>: the router redirects to a port
of its own, and that leads here. So does whatever else follows a redirect:</p>
<pre>curl -L --connect-to ::127.0.0.1: $named</pre>
<p>Who may register stands on <a href="$users">the users page</a>, and in</p>
<pre>relay token taas list --config $folder/relay.ini</pre>""",
    """\
relay token taas certificate --config etc/relay.ini   # two lines for its [dialect:taas]
twistd -n relay-router --config etc/relay.ini
relay token taas create web --config etc/relay.ini &gt; web.id
relay token taas provision "$$(cat web.id)" --file web.js --config etc/relay.ini

twistd -n relay-host   --dialect taas --provisioning-file web.js \\
                       --forward tcp:127.0.0.1:8080

twistd -n relay-client --dialect taas --router https://relay.example.org:8899 \\
                       --ca-file registrar.crt --label web.taas.example.com \\
                       --listen tcp:8000:interface=127.0.0.1""",
    (("the page by its name", "$named"), ("the users page", "$users")),
    (
        "curl -L --connect-to ::127.0.0.1: $named",
        "relay status --admin $admin",
        "relay token taas list --config $folder/relay.ini",
    ),
)


def guide_of(dialect: str) -> Guide:
    """:returns: that of a dialect; portal's where it has none of its own"""
    return _TAAS if dialect == "taas" else _PORTAL


def filled(template: str, values: dict[str, str]) -> str:
    """:returns: a member of a guide with what it names"""
    return Template(template).substitute(values)
