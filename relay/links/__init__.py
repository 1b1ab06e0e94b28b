"""Transports: the only code that touches relayed sockets."""
