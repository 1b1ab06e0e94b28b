"""What autobahn keeps for each link although it is over, or the same on every idle link."""

from __future__ import annotations

from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol

HANDSHAKE = frozenset(
    (
        "_results",
        "_transport_details",
        "_valid_events",
        "_wskey",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "is_closed",
        "is_open",
        "opened",
        "peer",
        "send_queue",
        "trafficStats",
        "upgrade_headers",
        "utf8validator",
        "websocket_extensions",
        "websocket_extensions_in_use",
        "websocket_key",
        "websocket_origin",
        "websocket_protocols",
    )
)
"""What an open link needs no longer, or has on its class."""

AT_REST: dict[str, object] = {
    **dict.fromkeys(
        (
            "closedByMe",
            "droppedByMe",
            "failedByMe",
            "inside_message",
            "triggered",
            "wasClean",
            "wasCloseHandshakeTimeout",
            "wasMaxFramePayloadSizeExceeded",
            "wasMaxMessagePayloadSizeExceeded",
            "wasOpenHandshakeTimeout",
            "wasServerConnectionDropTimeout",
            "wasServingFlashSocketPolicyFile",
            "whole",
        ),
        False,
    ),
    **dict.fromkeys(
        (
            "_perMessageCompress",
            "autoPingPending",
            "autoPingPendingCall",
            "autoPingPendingSent",
            "autoPingTimeoutCall",
            "closeHandshakeTimeoutCall",
            "current_frame",
            "localCloseCode",
            "localCloseReason",
            "openHandshakeTimeoutCall",
            "remoteCloseCode",
            "remoteCloseReason",
            "serverConnectionDropTimeoutCall",
            "trackedTimings",
            "wasNotCleanReason",
            "websocket_protocol_in_use",
        ),
        None,
    ),
    "autoPingPendingSeq": 0,
    "data": b"",
    "send_state": WebSocketProtocol.SEND_STATE_GROUND,
    "trafficStats": TrafficStats(),
    "websocket_version": 13,
}
"""How autobahn begins: put on the class, so that only links that differ carry it."""
