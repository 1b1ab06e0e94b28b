A router takes about two and a half times as many handshakes with the same processor time.
