Routers can be reached through HTTP CONNECT and SOCKS5 proxies, with user and password if need be.
