``relay record`` writes what is said on a topic of a session relay to a file, ``relay play`` sends the messages of a play
file, and ``relay monitor`` runs a command when a relay is slow to deliver: with the options and variables of the
original's ``relay client file`` and ``relay monitor``.
