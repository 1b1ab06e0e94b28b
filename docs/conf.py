"""Sphinx configuration: ``python -m sphinx -W docs docs/_build``."""

from relay import __version__

project = "relay"
author = "the relay authors"
release = __version__
exclude_patterns = ["_build"]
html_theme = "alabaster"
