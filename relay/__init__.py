"""relay: two machines that can only dial out, joined by a public router."""

__version__ = "0.1.0"
