``relay demo --dialect session-relay`` shows a camera and an instrument behind a host, and a page that watches and
steers them with a booking that it can cancel. ``relay bench --dialect session-relay`` measures topics: one writer to
one reader and to twenty.
