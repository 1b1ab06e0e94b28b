"""What is true whatever the dialect: streams, sessions, offers, calls, limits and liveness."""
