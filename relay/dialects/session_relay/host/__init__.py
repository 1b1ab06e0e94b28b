"""Our host: local feeds and streams on one side, topics of routers on the other.

Specification: session-relay.md §9. Modules: ``host`` the errand; ``local_api`` and ``local_paths``
its HTTP API, ``visitors`` who may come, ``notation`` how Go writes JSON; ``commands`` the same over
a feed; ``rules`` what they set, ``streams`` and ``destinations`` the rules at work, ``keeping``
their files; ``feed_link`` a local member, ``cutting`` how a body becomes messages.
"""
