"""Records and provisioning files of taas, as the original writes and reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.taas.notions import Label, is_id, offer_name, parse_label
from relay.dialects.taas.records import (
    PROVISIONING_CHARACTERS,
    RECORD_CHARACTERS,
    SECRET_CHARACTERS,
    Provisioning,
    Record,
    new_record,
    otpauth_url,
    parse_provisioning,
    provisioning,
)

ID = "2f402f80-da50-11e1-9b23-0000000000aa"
SECRET_B = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"
OCTETS_B = base64.b32decode(SECRET_B).decode()
LABELS = (Label("alpha"), Label("gw.alpha", 62052))
REGISTRAR, SERVERS = "taas-registrar.example.com", "taas.example.com"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PARAMS = (
    '"algorithm":"sha1","length":40,"name":"alpha.taas.example.com",'
    '"issuer":"https://taas-registrar.example.com","step":30,'
    f'"base32":"{SECRET_B}","protocol":"totp"'
)
AUTH_URL = (
    "otpauth://totp/https%3A%2F%2Ftaas-registrar.example.com%3Aalpha.taas.example.com"
    f"?secret={SECRET_B}&issuer=https%3A%2F%2Ftaas-registrar.example.com&digits="
)
ORIGINAL = (
    f'{{"uuid":"{ID}","qrcodeURL":"https://chart.example/...","authURL":"{AUTH_URL}40",'
    f'"authParams":{{{PARAMS}}},"labels":["alpha","gw.alpha:62052"]}}'
)
"""taas.md §18.2"""
FILE = (
    f'exports.params = {{{PARAMS},"uuid":["{ID}"],"labels":["alpha","gw.alpha:62052"],'
    f'"server":{{"hostname":"127.0.0.1","port":443,"ca":{json.dumps(list(PEM.encode()))}}}}};\n'
).replace(", ", ",")
KNOWN = Provisioning(
    ID, LABELS, SECRET_B, 30, f"https://{REGISTRAR}", f"alpha.{SERVERS}", "127.0.0.1", 443, PEM
)


def record_b() -> Record:
    """The record of the vectors, made here."""
    return new_record(LABELS, REGISTRAR, SERVERS, ID, OCTETS_B)


def file_with(**members: object) -> str:
    """The provisioning file with other members; None takes one away."""
    text = FILE.removeprefix("exports.params = ").removesuffix(";\n")
    value: dict[str, Any] = {**json.loads(text), **members}
    left = {name: one for name, one in value.items() if one is not None}
    return f"exports.params = {json.dumps(left)};\n"


def test_a_record_is_the_originals() -> None:
    """What we make has its members in its order, but for what is wrong or leaks in its own."""
    ours = record_b().text()
    assert ours == ORIGINAL.replace("https://chart.example/...", "").replace("=40", "=6")


def test_the_originals_record() -> None:
    """It is read whole, and written as it was."""
    record = Record.parse(ORIGINAL)
    assert record.labels == LABELS
    assert (record.base32, record.step_s, record.uuid) == (SECRET_B, 30, ID)
    assert record.text() == ORIGINAL


def test_an_incomplete_record() -> None:
    """Secret and labels are enough; the rest follows, once somebody needs it."""
    record = Record.read(f'{{"authParams":{{"base32":"{SECRET_B}"}},"labels":["Alpha"]}}')
    assert record is not None
    assert (record.labels, record.step_s, record.issuer) == ((Label("alpha"),), 30, "")
    whole = record.completed(ID, REGISTRAR, SERVERS)
    assert (whole.uuid, whole.name) == (ID, f"alpha.{SERVERS}")
    assert whole.auth_url == f"{AUTH_URL}6"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "not JSON"),
        ("x" * (RECORD_CHARACTERS + 1), "longer than"),
        ("{}", "no authParams"),
        ('{"authParams":[],"labels":[]}', "no authParams"),
        ('{"username":"a/b/c","authParams":{"protocol":"bcrypt","hash":"$2a$"}}', "no list"),
        ('{"authParams":{"protocol":"bcrypt"},"labels":[]}', "no base32"),
        ('{"authParams":{"base32":"A"},"labels":[]}', "stands for nothing"),
        ('{"authParams":{"base32":"A1"},"labels":[]}', "no base32"),
        (
            '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":"30"},"labels":[]}',
            "no number",
        ),
        (
            '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":true},"labels":[]}',
            "no number",
        ),
        ('{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":0},"labels":[]}', "not from 1"),
        (
            '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":NaN},"labels":[]}',
            "not from 1",
        ),
        (
            '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":1.5},"labels":[]}',
            "not from 1",
        ),
        (
            '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV","step":1e99},"labels":[]}',
            "not from 1",
        ),
        ('{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV"},"labels":"alpha"}', "no list"),
    ],
)
def test_no_record(text: str, why: str) -> None:
    """What nobody can log in by is none, and the reason holds nothing of it."""
    assert Record.read(text) is None
    with pytest.raises(ValueError, match=why):
        Record.parse(text)


def test_labels_that_are_none() -> None:
    """They are left out, since nobody could register them; case does not count."""
    labels = ["a_b", "__proto__", "", "x:0", "x:70000", 7, None, "CAM.Alpha:1", "a..b", "."]
    text = json.dumps({"authParams": {"base32": "GEZDGNBVGY3TQOJQGEZDGNBV"}, "labels": labels})
    assert Record.parse(text).labels == (Label("cam.alpha", 1),)


def test_a_fresh_secret() -> None:
    """It has 40 characters that nobody can guess, and no two are the same."""
    made = {new_record(LABELS, REGISTRAR, SERVERS, ID).base32 for _ in range(20)}
    assert len(made) == 20
    assert {len(base64.b32decode(secret)) for secret in made} == {SECRET_CHARACTERS}
    assert {len(secret) for secret in made} == {64}


def test_no_secret_is_shown() -> None:
    """Neither a record nor a file's content shows its secret when it is printed."""
    for value in (record_b(), parse_provisioning(FILE)):
        assert SECRET_B not in f"{value!r} {value}"


def test_a_step_of_its_own() -> None:
    """An authenticator app is told of a step that is not 30 s."""
    text = ORIGINAL.replace('"step":30', '"step":60')
    assert otpauth_url(Record.parse(text)).endswith("&digits=6&period=60")


def test_a_provisioning_file_is_the_originals() -> None:
    """Ours is what its page writes, octet by octet, and reads as what it says."""
    text = provisioning(record_b(), "127.0.0.1", 443, PEM)
    assert text == FILE
    assert parse_provisioning(text) == KNOWN
    assert KNOWN.registrar == REGISTRAR
    assert '"ca"' not in provisioning(record_b(), "127.0.0.1", 443, None)


OCTETS = list(PEM.encode())


@pytest.mark.parametrize(
    "ca",
    [
        OCTETS,
        PEM,
        {"type": "Buffer", "data": OCTETS},
        {str(number): octet for number, octet in enumerate(OCTETS)},
        {**{str(number): octet for number, octet in enumerate(OCTETS)}, "length": len(OCTETS)},
        [PEM],
        [{"type": "Buffer", "data": OCTETS}],
        [OCTETS],
    ],
)
def test_forms_of_a_certificate(ca: object) -> None:
    """Every form in which a Node has written a buffer is read."""
    server = {"hostname": "127.0.0.1", "port": 443, "ca": ca}
    assert parse_provisioning(file_with(server=server)) == KNOWN


def test_several_certificates() -> None:
    """A list of them is all of them."""
    server = {"hostname": "127.0.0.1", "port": 443, "ca": [PEM, [300]]}
    with pytest.raises(ValueError, match="no text"):
        parse_provisioning(file_with(server=server))
    server["ca"] = [PEM, {"type": "Buffer", "data": OCTETS}]
    assert parse_provisioning(file_with(server=server)).ca_pem == f"{PEM}\n{PEM}"


@pytest.mark.parametrize(
    "prefix", ["exports.params=", "module.exports = ", "\ufeff", "\n exports = "]
)
def test_forms_of_a_file(prefix: str) -> None:
    """What stands before the object differs; with and without a semicolon."""
    body = FILE.removeprefix("exports.params = ").removesuffix(";\n")
    for end in (";\n", "", ";", "\n\n"):
        assert parse_provisioning(f"{prefix}{body}{end}") == KNOWN


def test_an_id_that_is_no_list() -> None:
    """An ID by itself is taken, too, and a port that is text."""
    server = {"hostname": "h.example", "port": "8899"}
    told = parse_provisioning(file_with(uuid=ID, server=server))
    assert (told.uuid, told.host, told.port, told.ca_pem) == (ID, "h.example", 8899, None)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"uuid": None}, "uuid"),
        ({"uuid": []}, "uuid"),
        ({"uuid": ['a"b']}, "uuid"),
        ({"labels": None}, "labels"),
        ({"labels": ["_"]}, "labels"),
        ({"base32": None}, "base32"),
        ({"base32": 7}, "base32"),
        ({"step": "x"}, "step"),
        ({"issuer": None}, "issuer"),
        ({"issuer": "taas.example.com"}, "issuer"),
        ({"issuer": "https://[::1"}, "issuer"),
        ({"server": None}, "server"),
        ({"server": {"port": 1}}, "hostname"),
        ({"server": {"hostname": "a b", "port": 1}}, "hostname"),
        ({"server": {"hostname": "h", "port": 0}}, "port"),
        ({"server": {"hostname": "h", "port": "x"}}, "port"),
        ({"server": {"hostname": "h", "port": True}}, "port"),
        ({"server": {"hostname": "h", "port": 1, "ca": []}}, "ca"),
        ({"server": {"hostname": "h", "port": 1, "ca": [300]}}, "ca"),
        ({"server": {"hostname": "h", "port": 1, "ca": [255]}}, "ca"),
        ({"server": {"hostname": "h", "port": 1, "ca": {"data": {"data": []}}}}, "ca"),
        ({"server": {"hostname": "h", "port": 1, "ca": 7}}, "ca"),
    ],
)
def test_no_provisioning_file(members: dict[str, object], why: str) -> None:
    """What is wrong with a file is said in a sentence without its secret."""
    with pytest.raises(ValueError, match=why) as caught:
        parse_provisioning(file_with(**members))
    assert SECRET_B not in str(caught.value)


def test_a_file_that_is_too_long() -> None:
    """It is not even looked at."""
    with pytest.raises(ValueError, match="longer than"):
        parse_provisioning(" " * (PROVISIONING_CHARACTERS + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
MEMBERS = ("uuid", "labels", "base32", "step", "issuer", "name", "server", "authParams", "authURL")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_strange_members(members: dict[str, object]) -> None:
    """Whatever the members are, the answer is a record, a file's content, or a ValueError."""
    whole = {"authParams": {"base32": SECRET_B}, "labels": ["a"], **members}
    text = json.dumps(whole)
    record = Record.read(text)
    if record is not None:
        assert Record.parse(record.text()) == record
        record.text().encode()
    try:
        parse_provisioning(file_with(**members))
    except ValueError:
        pass


@given(st.text())
def test_strange_texts(text: str) -> None:
    """Any text at all is a record, a file, or a ValueError; likewise a label."""
    Record.read(text)
    for parse in (parse_provisioning, parse_label):
        try:
            parse(text)
        except ValueError:
            pass
    if is_id(text):
        assert text.isascii()
        assert '"' not in text


PARTS = st.text("abcXYZ019-", min_size=1, max_size=20)


@given(st.lists(PARTS, min_size=1, max_size=4), st.integers(0, 65535))
def test_labels(parts: list[str], port: int) -> None:
    """A label is read as it is written, without case."""
    label = Label(".".join(parts).lower(), port)
    assert parse_label(str(label).upper()) == label
    assert offer_name(".".join(parts)) == f"taas:{label.name}"


@given(
    st.lists(st.builds(Label, PARTS.map(str.lower), st.integers(0, 65535)), min_size=1),
    st.text(st.characters(max_codepoint=127), min_size=1),
    st.integers(1, 65535),
)
def test_what_is_written_is_read(labels: list[Label], secret: str, port: int) -> None:
    """A record and its file say the same before and behind writing and reading."""
    record = new_record(labels, REGISTRAR, SERVERS, ID, secret)
    assert Record.parse(record.text()) == record
    told = parse_provisioning(provisioning(record, "2001:db8::1", port, PEM))
    assert (told.labels, told.base32) == (record.labels, record.base32)
    assert (told.host, told.port, told.ca_pem) == ("2001:db8::1", port, PEM)
