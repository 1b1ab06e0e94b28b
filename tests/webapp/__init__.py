"""A small real web application, to stand behind a tunnel: ``python -m tests.webapp``.

It serves files, JSON, Server-Sent Events, WebSockets, downloads and uploads of any size, cookies
and redirects, on Twisted's web server and autobahn. All links are relative, so that it works below
any path.
"""
