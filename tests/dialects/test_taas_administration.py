"""What an operator may do with records of taas, and how they come and go."""

from __future__ import annotations

import base64
import ipaddress
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.taas.administration import (
    Listed,
    check_free,
    check_labels,
    concerns,
    entry_of,
    find_record,
    listing,
    make_record,
    new_id,
    normal_id,
)
from relay.dialects.taas.certificates import make_certificate, root_of
from relay.dialects.taas.exchange import FILE_BYTES, export_text, import_texts
from relay.dialects.taas.mqtt_users import check_user, user_record
from relay.dialects.taas.notions import Label
from relay.dialects.taas.pictures import drawn
from relay.dialects.taas.records import Record
from relay.errors import ConfigurationError, RelayError

REGISTRAR, SERVERS = "taas-registrar.example.com", "taas.example.com"
SECRET = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"
PNG = b"\x89PNG\r\n\x1a\n"
NOW = 1_700_000_000.0


def bare(*labels: str) -> str:
    """An incomplete record."""
    return json.dumps({"authParams": {"base32": SECRET}, "labels": labels})


TEXTS = {
    "a": bare("alpha", "gw.alpha:62052"),
    "b": bare("beta", "gw.beta:62053"),
    "c/d/e": '{"username":"c/d/e","authParams":{"protocol":"bcrypt","hash":"$2a$10$x"}}',
    "note_1": "not a record",
}


# -- labels --------------------------------------------------------------------------------------


def test_labels_of_an_id() -> None:
    """The first has no port; the others may."""
    labels = (Label("alpha"), Label("gw.alpha", 62052), Label("cam"))
    assert check_labels(["Alpha", "gw.alpha:62052", "cam"]) == labels


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "needs a label"),
        (["alpha:62052"], "cannot have a port"),
        (["a", "b", "A"], "label a is given twice"),
        (["a", "b:7", "c:7"], "port 7 is given twice"),
        (["a_b"], "no label"),
        (["ä"], "no label"),
        (["a", "b:0"], "1 to 65535"),
        (["a", "b:65536"], "1 to 65535"),
        (["a", "b:x"], "1 to 65535"),
        (["a.b." + "c" * 64], "no label"),
        (["a." * 100 + "a"], "no label"),
    ],
)
def test_labels_that_cannot_be(words: list[str], why: str) -> None:
    """What is wrong is said in a sentence."""
    with pytest.raises(ValueError, match=why):
        check_labels(words)


def test_labels_of_others() -> None:
    """Another ID's label or port is refused, whatever the case; one's own is not."""
    for words in (["Beta"], ["x", "gw.ALPHA"], ["x", "beta:7"]):
        with pytest.raises(RelayError, match="is listed by"):
            check_free("new", check_labels(words), TEXTS)
    with pytest.raises(RelayError, match=r"port 62053 is that of label gw\.beta of b"):
        check_free("new", check_labels(["x", "y:62053"]), TEXTS)
    check_free("b", check_labels(["beta", "y:62053"]), TEXTS)
    check_free("new", check_labels(["x", "y:1"]), TEXTS)


def test_labels_that_are_shared() -> None:
    """Who says so may list what others list, but not take a port for another label."""
    check_free("new", check_labels(["alpha", "gw.alpha:62052"]), TEXTS, shared=True)
    with pytest.raises(RelayError, match="port 62052"):
        check_free("new", check_labels(["alpha", "x:62052"]), TEXTS, shared=True)
    both = {"a": bare("x", "x"), "b": bare("X"), "c": bare("y", "y")}
    assert list(concerns(both)) == ["label x is listed by a and b: they share its queue"]


def test_a_secret_that_is_short() -> None:
    """It is kept, and warned about without being shown."""
    record = '{"authParams":{"base32":"JBSWY3DPEHPK3PXP"},"labels":["alpha"]}'
    (sentence,) = concerns({"a": record})
    assert sentence == 'the secret of "a" has 10 octets, and could be guessed'


def test_ids() -> None:
    """A UUID is known in all its spellings; an ID need not be one."""
    key = new_id()
    assert key == key.lower()
    for spelling in (key, key.upper(), key.replace("-", ""), f"{{{key}}}"):
        assert normal_id(spelling) == key
    assert normal_id("attic-pi") == "attic-pi"
    for text in ("", "a_b", "owntracks/alpha/bob", "a" * 300):
        assert normal_id(text) == ""


def test_a_whole_record() -> None:
    """Its picture is our own, and holds what an authenticator app reads."""
    record = make_record("a", (Label("alpha"),), REGISTRAR, SERVERS)
    kind, _, octets = record.qrcode_url.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(octets).startswith(PNG)
    assert Record.parse(record.text()) == record
    assert len(drawn(record.auth_url).splitlines()) > 20


def test_a_listing() -> None:
    """It shows what each key is good for, and no secret."""
    assert listing({**TEXTS, "x/y": bare("z")}) == [
        Listed("a", "totp", ("alpha", "gw.alpha:62052")),
        Listed("b", "totp", ("beta", "gw.beta:62053")),
        Listed("c/d/e", "bcrypt"),
        Listed("note_1", "unusable", (), "the record is not JSON: Expecting value (column 1)"),
        Listed("x/y", "unusable", (), "no request can show such an ID"),
    ]
    assert SECRET not in str(listing(TEXTS))


def test_finding_a_record() -> None:
    """Who is not there, or cannot log in, is told apart."""
    assert find_record("a", TEXTS).labels[0] == Label("alpha")
    with pytest.raises(RelayError, match='no ID "z"'):
        find_record("z", TEXTS)
    with pytest.raises(RelayError, match="cannot log in"):
        find_record("c/d/e", TEXTS)


# -- in and out ----------------------------------------------------------------------------------


def test_out_and_in() -> None:
    """What goes out comes in as it was; what is no record stays."""
    text, others = export_text(TEXTS)
    assert others == ["note_1"]
    texts = import_texts(text.encode(), "x.json")
    assert {key: json.loads(one) for key, one in texts.items()} == {
        key: json.loads(one) for key, one in TEXTS.items() if key != "note_1"
    }
    assert import_texts(b"\xef\xbb\xbf{}", "x.json") == {}


def test_foreign_records() -> None:
    """Members that nobody here knows stay, half a surrogate pair included."""
    codes = b'{"base32": "GEZDGNBVGY3TQOJQGEZDGNBV"}'
    content = b'{"a": {"labels": ["b"], "authParams": %b, "x": "\\ud800 \xc3\xbc"}}' % codes
    (text,) = import_texts(content, "x.json").values()
    assert entry_of(text.encode().decode()) == json.loads(content)["a"]


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"", ["x:1: is not JSON: Expecting value (column 1)"]),
        (b"\xff", ["x: is not JSON that can be read"]),
        (b"[" * 100_000, ["x: is not JSON that can be read"]),
        (b"[]", ["x: is no JSON object of which each member is a record"]),
        (b'{"a": {"n": NaN}}', ["x: is not JSON that can be read"]),
        (b'{"a": {}, "a": {}}', ['x: has "a" twice in one object']),
        (b'{"a": 1}', ['x: "a": is no record, which is a JSON object']),
        (b'{"": {}}', ['x: "": is no key, which has 1 to 1024 bytes that can be printed']),
        (b'{"\\n": {}}', ['x: "\\n": is no key, which has 1 to 1024 bytes that can be printed']),
        (
            b'{"a": {"authParams": {"base32": "top secret"}, "labels": []}, "b": 1, "c": {}}',
            [
                'x: "a": cannot log in: the record has no base32 secret',
                'x: "b": is no record, which is a JSON object',
            ],
        ),
        (
            b'{"a": {"x": "' + b"x" * 300_000 + b'"}}',
            ['x: "a": is longer than 262144 characters'],
        ),
    ],
)
def test_what_cannot_come_in(content: bytes, faults: list[str]) -> None:
    """Every fault is named, without a secret, and nothing comes in."""
    with pytest.raises(ConfigurationError) as caught:
        import_texts(content, "x")
    assert caught.value.faults == faults


def test_a_file_that_is_too_long() -> None:
    """It is not even looked at."""
    with pytest.raises(ConfigurationError, match="longer than"):
        import_texts(bytes(FILE_BYTES + 1), "x")


def said(*words: str) -> bytes:
    """A command in an append-only file."""
    parts = [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def test_the_originals_file() -> None:
    """Its commands are gone through; what they leave behind is what comes in."""
    content = (
        said("SELECT", "0")
        + said("set", "a", bare("old"))
        + said("set", "b", bare("beta"))
        + said("set", "a", bare("alpha"))
        + said("del", "b", "never")
        + said("select", "3")
        + said("set", "z", "of another database")
        + said("hset", "z", "1", "2")
        + said("select", "0")
        + said("set", "ü", '{"x": "ü"}')
    )
    assert import_texts(content, "nedis.db") == {"a": bare("alpha"), "ü": '{"x": "ü"}'}
    assert import_texts(content + said("flushdb"), "nedis.db") == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (said("set", "a", "{}")[:-1], "byte 0: no whole command"),
        (said("del", "a") + b"*1\r\n", "byte 20: no whole command"),
        (b"*0\r\n", "no whole command"),
        (b"*99999\r\n", "no whole command"),
        (b"*1\r\n$9999999\r\n", "no whole command"),
        (b"*1\r\n:1\r\n", "no whole command"),
        (b"*1\r\n$1\r\n\xff\r\n", "no whole command"),
        (b"*\xb2\r\n", "no whole command"),
        (said("eval", "x"), "eval"),
        (said("set", "a"), "set"),
        (said("set", "a", "x"), "no record"),
    ],
)
def test_a_damaged_file(content: bytes, why: str) -> None:
    """Where it begins to make no sense is said, and nothing comes in."""
    with pytest.raises(ConfigurationError, match=why):
        import_texts(content, "nedis.db")


@given(st.binary() | st.binary().map(b"*1\r\n$".__add__) | st.text().map(str.encode))
def test_strange_files(content: bytes) -> None:
    """Any content comes in whole, or not at all with ConfigurationError."""
    try:
        texts = import_texts(content, "x")
    except ConfigurationError:
        return
    for text in texts.values():
        assert entry_of(text) is not None


@given(st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), st.text()))))
def test_what_was_appended(writes: list[tuple[str, dict[str, str]]]) -> None:
    """The last write of each key is what comes in."""
    texts = {key: json.dumps(value) for key, value in writes if key.isprintable()}
    content = b"".join(
        said("set", key, json.dumps(value)) for key, value in writes if key.isprintable()
    )
    assert import_texts(content or b"{}", "nedis.db") == texts


# -- certificates and MQTT users -----------------------------------------------------------------


def test_a_certificate() -> None:
    """It is the original tool's: for the address and both names, signed by itself."""
    made = make_certificate("192.0.2.7", REGISTRAR, SERVERS, NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("192.0.2.7")]
    assert names.get_values_for_type(x509.DNSName) == [REGISTRAR, f"*.{SERVERS}"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common.value == SERVERS
    assert certificate.not_valid_after_utc.timestamp() == NOW + 3650 * 86400
    assert certificate.not_valid_before_utc.timestamp() < NOW
    certificate.verify_directly_issued_by(certificate)
    key = load_pem_private_key(made.key, None)
    assert key.public_key() == certificate.public_key()
    assert made.key.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert made.sha1.startswith("SHA1 Fingerprint=")
    assert "PRIVATE" not in repr(made)
    long = make_certificate("::1", REGISTRAR, f"{'a' * 60}.{SERVERS}", NOW)
    assert b"CERTIFICATE" in long.certificate


def test_whom_hosts_trust() -> None:
    """Of a chain that is the one that signed itself; where it is not there, nobody is named."""
    first = make_certificate("127.0.0.1", "a.example", "b.example", NOW).certificate
    second = make_certificate("127.0.0.1", "c.example", "d.example", NOW).certificate
    assert root_of(first) == first.decode()
    assert root_of(first + second) == second.decode()
    with pytest.raises(ValueError, match="PEM"):
        root_of(b"none")


def test_an_mqtt_user() -> None:
    """The record is the original's, and its hash of a kind that old Nodes know."""
    record = json.loads(user_record(check_user("owntracks/alpha/bob"), "correct horse"))
    assert record["username"] == "owntracks/alpha/bob"
    assert record["authParams"]["protocol"] == "bcrypt"
    assert record["authParams"]["hash"].startswith("$2a$10$")


@pytest.mark.parametrize(
    "name", ["", "a/b", "a//b", "a/b/c#", "a/+/c", "a/*/c", "a/b/\n", "/a/b/c"]
)
def test_no_mqtt_user(name: str) -> None:
    """A name of fewer than three parts, or with what a topic cannot have, is refused."""
    with pytest.raises(ValueError, match="a user's name has"):
        check_user(name)


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 73, "ü" * 40, "twelve chars\0"])
def test_no_password(password: str) -> None:
    """One that is too short, or longer than bcrypt looks at, is refused and not repeated."""
    with pytest.raises(ValueError, match="a password has 12 characters") as caught:
        user_record("a/b/c", password)
    assert not password or password not in str(caught.value)
