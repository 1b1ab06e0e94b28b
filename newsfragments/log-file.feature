``RELAY_LOG_FORMAT`` says how the log is written, ``RELAY_LOG_FILE`` which file the router's log is appended to.
