"""Texts in a Redis, with keys as they are: others may read and write them, too.

txredisapi has the protocol. The connection is ours: its own pool would take a wrong password for
good, and asks for the global reactor as soon as it is imported.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.addresses import with_port
from relay.errors import RelayError, StoreFailed
from relay.faces import IRecords
from relay.store.notions import ANSWER_S, KEYS, TEXT_BYTES, Wanted, as_text, can_be_key

T = TypeVar("T")

SCHEME = "redis"
USUAL_PORT = 6379
LARGEST_DATABASE = 1 << 16
SCANNED = 1000
"""Keys that Redis looks at before it answers one SCAN."""
ASKED_AT_ONCE = 200
"""Texts asked for with one write, when all are."""
PASSWORD_WORDS = ("NOAUTH", "WRONGPASS", "invalid password", "Client sent AUTH")
PASSWORD_REMEDY = "write its password into the file that database-password-file names"


class Address(NamedTuple):
    """Where a Redis is.

    :ivar database: its number
    :ivar password: empty: none is asked for
    """

    host: str
    port: int
    database: int
    user: str
    password: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]``.

        :raises ValueError: with a sentence, without the password
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or USUAL_PORT
        except ValueError:
            raise ValueError("it has no host, or a port that is no number") from None
        number = parts.path.strip("/") or "0"
        if parts.scheme != SCHEME or not host:
            raise ValueError("it is not of the form redis://HOST:PORT/NUMBER")
        if not (number.isascii() and number.isdigit() and int(number[:6]) < LARGEST_DATABASE):
            raise ValueError("its database is not a number, like redis://HOST:PORT/0")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, port, int(number), user, password)

    def __repr__(self) -> str:
        return f"Address({self})"

    def __str__(self) -> str:
        return f"{SCHEME}://{with_port(self.host, self.port)}/{self.database}"


@implementer(IRecords)
class RedisRecords:
    """A Redis, connected to when it is asked, and again after the connection was lost.

    :param address: of the server
    :param reactor: connects, and has the time
    :param answer_s: seconds that the server may take
    """

    log = Logger()

    def __init__(self, address: Address, reactor: IReactorTime, answer_s: float = ANSWER_S) -> None:
        self._address = address
        self._reactor = reactor
        self._answer_s = answer_s
        self._line: Any = None  # txredisapi has no types
        self._connecting: list[Deferred[Any]] | None = None
        self._closed = False

    async def get(self, key: str) -> str | None:
        """:returns: the text; None: there is none. :raises StoreFailed: when it cannot be asked"""
        if not can_be_key(key):
            return None
        (reply,) = await self._ask([(b"GET", key.encode())])
        if isinstance(reply, Exception) and str(reply).startswith("WRONGTYPE"):
            return None  # somebody else's key
        self._checked(reply)
        return as_text(reply) if isinstance(reply, bytes) else None

    async def put(self, key: str, text: str) -> None:
        """:raises StoreFailed: when it cannot be asked"""
        await self.put_all({key: text})

    async def put_all(self, texts: Mapping[str, str]) -> None:
        """Keep several, all of them or none. :raises StoreFailed: when it cannot be asked"""
        words: list[bytes] = []
        for key, text in texts.items():
            try:
                words += (key.encode(), text.encode())
            except UnicodeEncodeError:
                raise StoreFailed(f"{self._address} cannot keep what is no text") from None
            if not can_be_key(key) or len(words[-1]) > TEXT_BYTES:
                raise StoreFailed(f"{self._address} takes no such key, or no text as long as that")
        if words:
            # SET for one: that is all that the original asks of a store
            (reply,) = await self._ask([(b"SET" if len(texts) == 1 else b"MSET", *words)])
            self._checked(reply)

    async def delete(self, key: str) -> bool:
        """:returns: whether there was one. :raises StoreFailed: when it cannot be asked"""
        if not can_be_key(key):
            return False
        (reply,) = await self._ask([(b"DEL", key.encode())])
        return self._checked(reply) == 1

    async def all(self, wanted: Wanted | None = None) -> Mapping[str, str]:
        """:returns: every text by its key, in order. :raises StoreFailed: when it cannot be asked

        Keys that are of another type, no UTF-8 or longer than a record can be are others', and so
        are those that are not ``wanted``: of these nothing but the name is asked for.
        """
        keys = sorted(await self._keys(wanted or can_be_key))
        found: dict[str, str] = {}
        for begin in range(0, len(keys), ASKED_AT_ONCE):
            some = keys[begin : begin + ASKED_AT_ONCE]
            sizes = await self._ask([(b"STRLEN", key.encode()) for key in some])
            texts = [
                key
                for key, size in zip(some, sizes, strict=True)
                if isinstance(size, int) and 0 < size <= TEXT_BYTES
            ]
            replies = await self._ask([(b"GET", key.encode()) for key in texts])
            for key, reply in zip(texts, replies, strict=True):
                if isinstance(reply, bytes):
                    found[key] = as_text(reply)
        return found

    async def close(self) -> None:
        """Hang up; who still waits for an answer is told so."""
        self._closed = True
        self._hang_up()

    async def _keys(self, wanted: Wanted) -> set[str]:
        found: set[str] = set()
        cursor = b"0"
        while True:
            (reply,) = await self._ask([(b"SCAN", cursor, b"COUNT", b"%d" % SCANNED)])
            match self._checked(reply):
                case [bytes() as cursor, list() as keys]:
                    names = map(_key, cast("list[bytes]", keys))
                    found.update(name for name in names if can_be_key(name) and wanted(name))
                case _:
                    raise StoreFailed(f"{self._address} does not answer as a Redis does")
            if len(found) > KEYS:
                raise StoreFailed(f"{self._address} has more than {KEYS} keys")
            if cursor == b"0":
                return found

    def _checked(self, reply: object) -> object:
        """:raises StoreFailed: when the answer is a refusal"""
        if isinstance(reply, Exception):
            said = str(reply).strip()
            remedy = PASSWORD_REMEDY if said.startswith(PASSWORD_WORDS) else ""
            raise StoreFailed(f"{self._address} refuses: {said}", remedy)
        return reply

    # -- the connection --------------------------------------------------------------------------

    async def _ask(self, commands: Sequence[tuple[bytes, ...]]) -> list[object]:
        """:returns: the answer to each, an exception for a refusal"""
        # whoever asks may give up; the connection's state has to be right all the same
        return await _apart(self._ask_through(commands)) if commands else []

    async def _ask_through(self, commands: Sequence[tuple[bytes, ...]]) -> list[object]:
        line = await self._connected()
        return await self._say(line, commands)

    async def _say(self, line: Any, commands: Sequence[tuple[bytes, ...]]) -> list[object]:
        answers = [line.ask(command) for command in commands]
        replies = DeferredList(answers, consumeErrors=True)
        late = self._reactor.callLater(self._answer_s, line.fail, "it does not answer in time")
        try:
            told = [result for _, result in await replies]
        finally:
            if late.active():
                late.cancel()
        values = [one.value if isinstance(one, Failure) else one for one in told]
        if line.failed:
            raise StoreFailed(f"{self._address} cannot be asked: {line.failed}")
        return values

    async def _connected(self) -> Any:
        """:returns: a connection that is logged in"""
        if self._closed:
            raise StoreFailed(f"{self._address} is closed")
        if self._line is not None and not self._line.failed:
            return self._line
        waiting: Deferred[Any] = Deferred()
        if self._connecting is not None:
            self._connecting.append(waiting)
            return await waiting
        self._connecting = [waiting]
        Deferred.fromCoroutine(self._connect()).addBoth(self._tell)
        return await waiting

    def _tell(self, line: Any) -> None:
        waiting, self._connecting = self._connecting or [], None
        if not isinstance(line, Failure):
            self._line = line
            if self._closed:
                self._hang_up()
        for one in waiting:
            one.callback(line)

    async def _connect(self) -> Any:
        from relay.store.redis_line import Line  # it imports the reactor

        address = self._address
        endpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=self._answer_s
        )
        try:
            line = cast(Line, await endpoint.connect(Line.factory()))
        except (ConnectError, DNSLookupError, OSError) as error:
            raise StoreFailed(f"{address} cannot be reached: {error}") from None
        hello: list[tuple[bytes, ...]] = []
        if address.password:
            user = (address.user.encode(),) if address.user else ()
            hello.append((b"AUTH", *user, address.password.encode()))
        if address.database:
            hello.append((b"SELECT", b"%d" % address.database))
        try:
            for reply in await self._say(line, hello) if hello else ():
                self._checked(reply)
        except RelayError:
            line.fail("it let us not in")
            raise
        return line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.fail("it is closed")
            self._line = None


def _key(octets: bytes) -> str:
    """:returns: empty for what is no UTF-8"""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return ""


async def _apart(work: Coroutine[Deferred[Any], Any, T]) -> T:
    """Wait for ``work``, which goes on to its end when the waiting is cancelled."""
    waiting: Deferred[T] = Deferred()

    def over(result: T | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)

    Deferred.fromCoroutine(work).addBoth(over)
    return await waiting
