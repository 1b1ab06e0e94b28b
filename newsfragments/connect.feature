``relay connect`` joins standard input and output to an offer, for instance as ssh's ProxyCommand; when there is no call, one line says why and what to try.
