``relay demo --dialect taas`` shows the page at a name that a browser is redirected from, with no client at all, and
through our client; its records and users page are those of an operator. ``relay bench --dialect taas`` measures such a
tunnel, and what a connection costs the router that waits for its caller.
