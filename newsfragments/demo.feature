``relay demo`` shows a page that came through a router, a host and a client, all in one process, and what to do next.
