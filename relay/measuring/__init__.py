"""Measuring tools that ``relay bench`` and the checkout's ``bench/`` share.

A *load* is a process of its own that sends, takes, echoes, or holds connections
(``python -m relay.measuring.load``); what is measured stands between two of them.
"""
