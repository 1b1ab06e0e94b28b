Units for systemd with socket activation, watchdog, credentials and a sandbox.
