``relay bench`` measures throughput, round trips and idle cost of a tunnel on this machine, beside a plain TCP relay.
