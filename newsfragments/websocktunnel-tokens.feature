``relay token websocktunnel`` mints tokens for Taskcluster's websocktunnel, and ``relay token show`` explains them: for which tunnel, for which audience, and whether the configured router takes them.
