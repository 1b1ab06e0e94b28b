"""Why a viewer gets no answer from a host, when it was on its way to one."""

from __future__ import annotations

from relay.errors import CallFailed
from relay.interfaces import IStream
from relay.vocabulary import CLEAN_REASONS, Reason

NO_ANSWER = {
    Reason.FINISHED: Reason.TARGET_REFUSED,
    Reason.PEER_CLOSED: Reason.TARGET_REFUSED,
}
"""An end that is clean for a stream is none for a request that was not answered."""

GOING_AWAY_RETRY_S = 1


def call_failed(reason: Reason, detail: str) -> CallFailed:
    """:param reason: why the stream, or the call for one, ended
    :returns: what to tell the viewer
    """
    error = CallFailed(detail, NO_ANSWER.get(reason, reason))
    if reason is Reason.GOING_AWAY:
        error.retry_after_s = GOING_AWAY_RETRY_S
    return error


def is_end(reason: Reason, host: IStream | None) -> bool:
    """:returns: whether a host that is over has thereby said all that it had to say: in order, and
    where it has no other way to say so
    """
    return reason in CLEAN_REASONS and host is not None and not host.carries.half_close
