The admin address, its metrics and its revocations have a page of their own, ``docs/admin.rst``. ``/metrics`` has two more counters, ``relay_failed_logins_total`` and ``relay_lost_messages_total``.
