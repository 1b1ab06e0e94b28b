"""Words of session-relay that its modules share; session-relay.md §2."""

from __future__ import annotations

DIALECT = "session-relay"
SESSION = "session"
"""The only connection type (claim ``prefix``), and the first part of a path."""
READ = "read"
WRITE = "write"
ADMIN = "relay:admin"
STATUS = "relay:stats"
STATS_TOPIC = "stats"
"""The topic on which the router itself reports."""
