"""The declarations that options, INI and documentation are made from."""

from __future__ import annotations

import dataclasses

import pytest

from relay.dialects.portal import PortalDialect
from relay.settings import (
    LIMIT_KEYS,
    DialectKeys,
    log_keys,
    merge,
    option_keys,
    router_keys,
    tunnel_keys,
)
from relay.settings.model import Limits
from relay.settings.schema import Key, Kind
from relay.vocabulary import Role

TOKEN = Key("token-file", Kind.SECRET_FILE, "", secret_environment=("PORTAL_TOKEN",))
PORTAL = {
    "portal": DialectKeys(
        router=(
            Key("secret-file", Kind.SECRET_FILE, "signs", secret_environment=("AUTH_SECRET",)),
        ),
        host=(TOKEN,),
        client=(TOKEN,),
        traits=PortalDialect.traits,
    )
}
"""A dialect like portal, for all tests of settings."""


@pytest.mark.parametrize(
    "keys", [router_keys(), LIMIT_KEYS, *(tunnel_keys(role) + log_keys() for role in Role)]
)
def test_every_key_has_one_declaration_and_a_help_text(keys: tuple[Key, ...]) -> None:
    """Options and documentation are made from it."""
    names = [key.name for key in keys]
    assert len(set(names)) == len(names)
    assert all(key.help for key in keys)


def test_limits_have_a_key_each() -> None:
    """What is in [limits] is what the core is handed."""
    fields = [field.name.replace("_", "-") for field in dataclasses.fields(Limits)]
    assert [key.name for key in LIMIT_KEYS] == fields


def test_a_dialects_key_adds_variables_and_keeps_what_it_does_not_say() -> None:
    """A refined key has the variables of both."""
    merged = {key.name: key for key in merge(tunnel_keys(Role.HOST), (TOKEN,))}
    token = merged["token-file"]
    assert token.secret_environment == ("RELAY_TOKEN", "PORTAL_TOKEN")
    assert token.environment == ("RELAY_TOKEN_FILE",)
    assert token.help
    assert token.required


def test_a_dialect_may_do_without_a_required_key() -> None:
    """``required`` of the dialect's own declaration wins."""
    own = Key("forward", Kind.DOORS, "", required=False)
    merged = {key.name: key for key in merge(tunnel_keys(Role.HOST), (own,))}
    assert merged["forward"].required is False
    assert merged["forward"].repeatable


def test_options_are_the_keys_of_all_dialects() -> None:
    """Programs take every dialect's options, whichever dialect is chosen."""
    other = DialectKeys((), (Key("id", Kind.TEXT, "the tunnel's id"),), ())
    names = [key.name for key in option_keys(Role.HOST, {**PORTAL, "other": other})]
    assert {"id", "forward", "token-file", "ca-file", "log-level", "dialect"} <= set(names)
    assert "id" not in [key.name for key in option_keys(Role.CLIENT, {**PORTAL, "other": other})]
