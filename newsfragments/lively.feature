Small messages that follow each other quickly take a tenth to a fifth less time in every dialect: while nothing else is to be done, the sockets are waited for without going through the reactor.
