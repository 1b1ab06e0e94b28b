"""Viewers: plain HTTP/1.1 in front of a router, forwarded onto streams and back."""
