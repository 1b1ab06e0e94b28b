"""Texts by key that outlive the router, and that others may read and write, too."""
