"""The tokens of section 13.2 of websocktunnel's specification, made with PyJWT.

They are judged at ``NOW`` (2026-01-01), and are for the tunnel ``TUNNEL``.
"""

from __future__ import annotations

SECRET_A = b"alpha-secret-alpha-secret-alpha-32"
SECRET_B = b"bravo-secret-bravo-secret-bravo-32"
TUNNEL = "demo~1.8080"
NOW = 1_767_225_600

_HS256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
J1 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1MzAwLCJleHAiOjE"
    "3NjcyMjkyMDB9.LEgEPQew5xr1ST98UcmFSeSrZHiXZ5KJahpFiFE9rUM"
)
J2 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1MzAwLCJleHAiOjE"
    "3NjcyMjkyMDB9.nzU9utvjVwaPJ8jh0rHL-F9Z0lP7_rm4cfLy7L7gx50"
)
J3 = (
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9"
    ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1MzAwLCJleHAiOjE"
    "3NjcyMjkyMDB9.qU65xG3BQdTH9dQrzYTpzLJdlNkXfwvanvdVO-P0nVNkeMCa2mCj26y_qfNWK54Og_kebX"
    "Yx1ak9xXRbHFZzLQ"
)
J4 = (
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1MzAwLCJleHAiOjE"
    "3NjcyMjkyMDB9."
)
J5 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY5OTAzNzAwfQ.tUbqtzJj"
    "PD6yIDAQXvgyt9lHN9NRO4XbXSO-PUywKWU"
)
J6 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY5OTAzNzAxfQ.thUrFqZT"
    "T-ZRM8QAKENmtrWW4Xp6gPX0o34y0r1bAZI"
)
J7 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY3MjI5MjAwLCJhdWQiOiJ"
    "ldS13ZXN0In0.xThO0ovrc9DR1SFr-CaxO7HqUvNUKJraYuaooPdJ3DQ"
)
J8 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY3MjI5MjAwLCJhdWQiOls"
    "idXMtZWFzdCIsImV1LXdlc3QiXX0.DC5IUREYtNaLAb4rRYMEayaCpVf69PNg5ahfunwqLXQ"
)
J9 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsImV4cCI6MTc2NzIyOTIwMH0.kBXotcB9Ywi6BH7Fo-VlXSptpzFWU5g"
    "-GJcRjt-hI9k"
)
J10 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY3MjI1NjAwfQ.q_sUc2My"
    "z4syVtQpuQufTbGRbd-CyTO2vx0BWN-rGUo"
)
J11 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTc2NzIyNTMwMCwiZXhwIjoxNzY3MjI5MjAwLCJpYXQiOjE"
    "3NjcyMjY1MDB9.grrZAFvzTSIOjDlErV9e5bqKsyOAyvHA7oatTAZ76x4"
)
J12 = (
    _HS256 + ".eyJ0aWQiOiJkZW1vfjEuODA4MCIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjo0MTAyNDQ0ODAwfQ.tixt7T0s"
    "f6dXOwOIMbnE2bHxYeLmPkLbF24x1ZDkEOA"
)
