"""The credentials file of network-relay: who may log in, and who may reach what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.network_relay.credentials import (
    EMPTY,
    Client,
    Credentials,
    read_credentials,
)
from relay.dialects.network_relay.targets import Target
from relay.errors import ConfigurationError
from relay.settings.credentials import CredentialsFile

ORIGINAL = (
    '{"edge-agents": {"attic-pi": "s3cr3t-agent"}, '
    '"access-client-secrets": ["s3cr3t-client", "another"]}'
)
"""The example of network-relay.md §9."""


def parsed(**members: object) -> Credentials:
    """What a file with these members says; dashes are written as underscores."""
    text = json.dumps({name.replace("_", "-"): value for name, value in members.items()})
    return Credentials.parse(text, "c.json")


def faults(text: str) -> list[str]:
    """What is wrong with a file's text."""
    with pytest.raises(ConfigurationError) as caught:
        Credentials.parse(text, "c.json")
    return caught.value.faults


def faults_of(**members: object) -> list[str]:
    """What is wrong with a file of these members."""
    return faults(json.dumps({name.replace("_", "-"): one for name, one in members.items()}))


def test_an_originals_file() -> None:
    """Agents have a secret each; a flat secret is a client without name and limits."""
    credentials = Credentials.parse(ORIGINAL, "c.json")
    assert credentials.agent("attic-pi") == ("s3cr3t-agent",)
    assert credentials.agent("other") == credentials.agent("") == ()
    assert credentials.clients == (Client("", "s3cr3t-client"), Client("", "another"))
    client = credentials.client("another")
    assert client is credentials.clients[1]
    assert client.may_call("any agent", Target("any host", 70000, "udp"))
    assert credentials.client("s3cr3t-agent") is credentials.client("") is None


@pytest.mark.parametrize("text", ["{}", EMPTY, '{"edge-agents": {}}', '{"x": 1, "X": [{}]}'])
def test_both_members_may_be_absent(text: str) -> None:
    """Nobody may log in then; members that the original ignores are ignored here, too."""
    credentials = Credentials.parse(text, "c.json")
    assert (credentials.agents, credentials.clients) == ({}, ())


def test_the_file_that_is_made_suits_the_original() -> None:
    """It wants both members."""
    assert json.loads(EMPTY) == {"edge-agents": {}, "access-client-secrets": []}


def test_secrets_are_not_shown() -> None:
    """Neither the whole nor a client prints one."""
    credentials = Credentials.parse(ORIGINAL, "c.json")
    shown = repr(credentials) + repr(credentials.clients[0]) + str(credentials)
    assert "s3cr3t" not in shown
    assert "another" not in shown


@pytest.mark.parametrize(
    ("rights", "agent", "target", "allowed"),
    [
        ({}, "a", "h:1", True),
        ({}, "a", "h:1/udp", True),
        ({"agents": ["a"]}, "a", "h:1", True),
        ({"agents": ["a"]}, "A", "h:1", False),
        ({"agents": []}, "a", "h:1", False),
        ({"targets": []}, "a", "127.0.0.1:22", False),
        ({"targets": ["127.0.0.1:22"]}, "b", "127.0.0.1:22", True),
        ({"targets": ["127.0.0.1:22"]}, "b", "127.0.0.1:23", False),
        ({"targets": ["127.0.0.1:22"]}, "b", "127.0.0.1:22/udp", False),
        ({"targets": ["127.0.0.1:22"]}, "b", "[::ffff:127.0.0.1]:22", True),
        ({"targets": ["127.0.0.1:22"]}, "b", "localhost:22", False),
        ({"targets": ["10.0.0.0/24:*"]}, "b", "10.0.0.9:5", True),
        ({"targets": ["db.internal:5432"]}, "b", "DB.internal:5432", True),
        ({"agents": ["a"], "targets": ["[::1]:22"]}, "a", "[::1]:22", True),
        ({"agents": ["a"], "targets": ["[::1]:22"]}, "b", "[::1]:22", False),
    ],
)
def test_rights(rights: dict[str, object], agent: str, target: str, allowed: bool) -> None:
    """A client with a name reaches what its entry lists, and without a list everything."""
    credentials = parsed(access_clients={"alice": {"secret": "hush", **rights}})
    client = credentials.client("hush")
    assert client is not None
    assert client.name == "alice"
    assert client.may_call(agent, Target.parse(target)) is allowed


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "c.json:1: is not JSON: "),
        ('{\n"a": x}', "c.json:2: is not JSON: Expecting value (column 6)"),
        ("[" * 100_000, "c.json: is not JSON that can be read"),
        ("[]", 'c.json: is no JSON object, like {"edge-agents": {}, "access-client-secrets": []}'),
        ('{"a": {"b": 1, "b": 2}}', 'c.json: has "b" twice in one object; keep one of the two'),
    ],
)
def test_files_that_are_none(text: str, fault: str) -> None:
    """One line says where and what."""
    (said,) = faults(text)
    assert said.startswith(fault)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"edge_agents": ["hush"]}, "edge-agents: is no object with names as members"),
        ({"edge_agents": {"": "hush"}}, 'edge-agents "": an agent without a name can never log in'),
        ({"edge_agents": {"a": ""}}, 'edge-agents "a": the secret is empty'),
        ({"edge_agents": {"a": 5}}, 'edge-agents "a": the secret is no text'),
        ({"access_client_secrets": "hush"}, "access-client-secrets: is no list of secrets"),
        ({"access_client_secrets": [None]}, "access-client-secrets, number 1: the secret is no te"),
        ({"access_clients": []}, "access-clients: is no object with names as members"),
        ({"access_clients": {"": {"secret": "hush"}}}, 'access-clients "": a client in this list'),
        ({"access_clients": {"a": "hush"}}, 'access-clients "a": is no object like'),
        ({"access_clients": {"a": {}}}, 'access-clients "a": has no "secret"'),
        (
            {"access_clients": {"a": {"secret": "hush", "agent": ["x"]}}},
            'access-clients "a": unknown member "agent"; did you mean "agents"?',
        ),
        (
            {"access_clients": {"a": {"secret": "hush", "agents": "x"}}},
            'access-clients "a" agents: is no list of texts; leave it out to set no limit',
        ),
        (
            {"access_clients": {"a": {"secret": "hush", "agents": [""]}}},
            'access-clients "a" agents: is no list of texts',
        ),
        (
            {"access_clients": {"a": {"secret": "hush", "targets": None}}},
            'access-clients "a" targets: is no list of texts',
        ),
        (
            {"access_clients": {"a": {"secret": "hush", "targets": ["127.0.0.1"]}}},
            'access-clients "a" targets: "127.0.0.1" is not HOST:PORT',
        ),
        (
            {"access_client_secrets": ["hush"], "access_clients": {"a": {"secret": "hush"}}},
            'access-clients "a": has the same secret as access-client-secrets, number 1',
        ),
    ],
)
def test_what_is_wrong(members: dict[str, object], fault: str) -> None:
    """Each fault is one line that names its place and holds no secret."""
    (said,) = faults_of(**members)
    assert said.startswith(f"c.json: {fault}")
    assert "hush" not in said


def test_all_faults_are_told_at_once() -> None:
    """Nobody has to try again for each."""
    said = faults_of(edge_agents={"a": 1, "b": ""}, access_client_secrets=[""], access_clients=5)
    assert len(said) == 4


def test_a_secret_may_be_an_agents_and_a_clients() -> None:
    """The two log in at different doors, as with the original."""
    credentials = parsed(edge_agents={"a": "same", "b": "same"}, access_client_secrets=["same"])
    assert credentials.agent("b") == ("same",)
    assert credentials.client("same") is not None


def test_a_file(tmp_path: Path) -> None:
    """The path stands before what is wrong with it."""
    path = tmp_path / "credentials.json"
    path.write_text(ORIGINAL)
    assert read_credentials(CredentialsFile(path)).agent("attic-pi")
    path.write_text("{")
    with pytest.raises(ConfigurationError) as caught:
        read_credentials(CredentialsFile(path))
    assert caught.value.faults[0].startswith(f"{path}:1: is not JSON")


def attempt(text: str) -> tuple[Credentials, list[str]]:
    """:returns: what it says, nothing when it is refused; and why it is refused"""
    try:
        return Credentials.parse(text, "c.json"), []
    except ConfigurationError as error:
        return Credentials(), error.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "secret": json_values,
        "agents": json_values,
        "targets": json_values,
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "edge-agents": json_values | st.dictionaries(st.text(), st.text(), max_size=3),
            "access-client-secrets": json_values | st.lists(st.text(), max_size=3),
            "access-clients": json_values | st.dictionaries(st.text(), entries, max_size=3),
        },
    )
)
def test_any_json(members: dict[str, object]) -> None:
    """It is either taken, and then every secret finds its client, or refused in lines."""
    credentials, said = attempt(json.dumps(members))
    assert all(fault.isprintable() for fault in said)
    assert all(credentials.client(client.secret) is client for client in credentials.clients)
    assert all(name and credentials.agent(name)[0] for name in credentials.agents)


def test_the_same_secret_twice_in_the_flat_list_is_one() -> None:
    """As the original has it: nothing there would tell the two apart."""
    credentials, said = attempt('{"access-client-secrets": ["hush", "b", "hush"]}')
    assert said == []
    assert [client.secret for client in credentials.clients] == ["hush", "b"]


@given(st.text())
def test_any_text(text: str) -> None:
    """Nothing but ConfigurationError comes of it."""
    credentials, said = attempt(text)
    assert all(said)
    assert all(credentials.agents)
