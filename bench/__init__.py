"""Measurements of what relay promises: ``python -m bench``, or one as ``python -m bench.NAME``.

Every script starts what it measures as processes of their own, ends only those, prints a text table
(or ``--json``), and exits with 1 when a figure misses its target. The original programs take part
where ``RELAY_PEERS`` names the folder that holds them.
"""
