A websocktunnel host can get its token from a command (``token-command``), which is run again when the token is over or refused.
