"""The test vectors of network-relay.md §17, as the original programs emit them."""

from __future__ import annotations

CONNECTION_ID = "3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"
PING = b"ping\n"
"""The payload of V5 and V11."""

V1 = b'{"inner":{"kind":"start","last_error":null,"name":"attic-pi","secret":"s3cr3t-agent"}}'
V2 = (
    b'{"inner":{"kind":"initiate_connection","target_ip":"127.0.0.1","target_port":22,'
    b'"protocol":"tcp","connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"}}'
)
V3 = (
    b'{"inner":{"kind":"initiate_connection_ok",'
    b'"connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"}}'
)
V4 = (
    b'{"inner":{"kind":"initiate_connection_error","message":"Unsupported protocol: udp",'
    b'"connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"}}'
)
V5 = (
    b'{"inner":{"kind":"tcp_data","connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55",'
    b'"data_base64":"cGluZwo="}}'
)
V6 = (
    b'{"inner":{"kind":"start","connection_target":"attic-pi","target_ip":"127.0.0.1",'
    b'"target_port":22,"protocol":"tcp","secret":"s3cr3t-client"}}'
)
V7 = b'{"inner":{"kind":"start_ok"}}'
V8 = b'{"inner":{"kind":"error","message":"Invalid access client secret"}}'
V9 = b'{"inner":{"kind":"error","message":"Agent not registered"}}'
V10 = (
    b'{"inner":{"kind":"error","message":"Error initiating connection: Unsupported protocol: udp"}}'
)
V11 = b'{"inner":{"kind":"tcp_data","data_base64":"cGluZwo="}}'
V12 = (
    b'{"inner":{"kind":"connection_reset","message":"Connection reset while writing data",'
    b'"connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"}}'
)
V13 = (
    b'{"inner":{"kind":"connection_close","message":"Connection closed by relay",'
    b'"connection_id":"3f0c9a1e-5b7d-4c2a-9e61-0d4f8b2a7c55"}}'
)
V14 = b'{"inner":{"kind":"keep_alive"}}'

# must be accepted: A1 as a client's start, A2 as an agent's, A3 as data
A1 = (
    b'{ "x": 1, "inner": { "secret": "s3cr3t-client", "protocol": "tcp", "target_port": "22",'
    b' "target_ip": "h", "connection_target": "attic-pi", "kind": "start" } }'
)
A2 = b'{"inner":{"kind":"start","name":"attic-pi","secret":"s3cr3t-agent","site":"roof"}}'
A3 = b'{"inner":{"kind":"tcp_data","data_base64":"a G*k=","note":0}}'

# must be refused as a client's message
B1 = b'{"kind":"tcp_data","data_base64":"cGluZwo="}'
B2 = b'{"inner":{"data_base64":"cGluZwo="}}'
B3 = b'{"inner":{"kind":"connection_close"}}'
B4 = (
    b'{"inner":{"kind":"start","connection_target":"attic-pi","target_ip":"h",'
    b'"target_port":22.5,"protocol":"tcp","secret":"s3cr3t-client"}}'
)
B5 = b'{"inner":{"kind":"tcp_data","data_base64":5}}'
