"""The tokens of section 17 of session-relay's specification, which the originals make, too.

They are for the access API ``AUDIENCE``; iat and nbf are ``ISSUED``, exp is ``EXPIRES``.
"""

from __future__ import annotations

SECRET = b"vector-secret-not-for-production-0001"
AUDIENCE = "https://relay.example.test/access"
TARGET = "wss://relay.example.test/ws"
TOPIC = "rig07-st-data"
ISSUED = 1_700_000_000
EXPIRES = 4_102_444_800
NOW = 1_767_225_600

_HS256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
V1 = (
    _HS256
    + "eyJib29raW5nX2lkIjoicmlnMDctaG9zdCIsInRvcGljIjoicmlnMDctc3QtZGF0YSIsInByZWZpeCI6InNlc3Np"
    "b24iLCJzY29wZXMiOlsid3JpdGUiLCJyZWFkIl0sImF1ZCI6WyJodHRwczovL3JlbGF5LmV4YW1wbGUudGVzdC9h"
    "Y2Nlc3MiXSwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjE3MDAwMDAwMDAsImlhdCI6MTcwMDAwMDAwMH0.8oXXVlet"
    "MwsUDNIB6WUASw5i8xo_oDTGMwIoTIHB0zE"
)
V2 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiYmstNDIiLCJ0b3BpYyI6InJpZzA3LXN0LWRhdGEiLCJwcmVmaXgiOiJzZXNzaW9uIiwi"
    "c2NvcGVzIjpbInJlYWQiXSwiYXVkIjpbImh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAi"
    "OjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.Z4EpJCuQLrZSKxljuhMiE7tPZ"
    "FhpiALgcZzhdhlNf1c"
)
V3 = (
    _HS256
    + "eyJib29raW5nX2lkIjoic3RhdHVzLXByb2JlIiwidG9waWMiOiJzdGF0cyIsInByZWZpeCI6InNlc3Npb24iLCJz"
    "Y29wZXMiOlsicmVhZCJdLCJhdWQiOlsiaHR0cHM6Ly9yZWxheS5leGFtcGxlLnRlc3QvYWNjZXNzIl0sImV4cCI6"
    "NDEwMjQ0NDgwMCwibmJmIjoxNzAwMDAwMDAwLCJpYXQiOjE3MDAwMDAwMDB9.3XoBsEPRgM5uU2GjbnvfwTNuadZ"
    "sH8y1xGiki4S9R0s"
)
V4 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiIiwidG9waWMiOiIiLCJwcmVmaXgiOiIiLCJzY29wZXMiOlsicmVsYXk6YWRtaW4iXSwi"
    "YXVkIjpbImh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6"
    "MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.mpNDclUL2KjuI0-sjgVW5yNFFx3Fw2J0shxdOxLlZgk"
)
V5 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiIiwidG9waWMiOiIiLCJwcmVmaXgiOiIiLCJzY29wZXMiOlsicmVsYXk6c3RhdHMiXSwi"
    "YXVkIjpbImh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6"
    "MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.eEzrNQQ-cWXPBVDj2mP9uU78WZTQOmQQ-E1PLpAuU_Q"
)
V6 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiYmstNDIiLCJ0b3BpYyI6InJpZzA3LXN0LWRhdGEiLCJwcmVmaXgiOiJzZXNzaW9uIiwi"
    "c2NvcGVzIjpbInJlYWQiXSwiYXVkIjpbImh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAi"
    "OjE3MDAwMDM2MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.2tXCG5dWFj_Bln9tsQGMtkfGy"
    "Ej4W3nBJnX7COvMZGU"
)
V7 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiYmstNDIiLCJ0b3BpYyI6InJpZzA3LXN0LWRhdGEiLCJwcmVmaXgiOiJzZXNzaW9uIiwi"
    "c2NvcGVzIjpbInJlYWQiXSwiYXVkIjpbImh0dHBzOi8vb3RoZXIuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAi"
    "OjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.num9YGDhpzheY3o45udhSd7_-"
    "NEr23TNZKK9KpF1VAc"
)
V8 = (
    _HS256
    + "eyJib29raW5nX2lkIjoiIiwidG9waWMiOiJyaWcwNy1zdC1kYXRhIiwicHJlZml4Ijoic2Vzc2lvbiIsInNjb3Bl"
    "cyI6WyJyZWFkIiwid3JpdGUiXSwiYXVkIjpbImh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJl"
    "eHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwfQ.pREYCsifHvj0QCZ4sEqhk"
    "K34Q2cUg_ahTWQ34EP6Rvk"
)
V9 = (
    _HS256
    + "eyJ0b3BpYyI6InJpZzA3LXN0LWRhdGEiLCJwcmVmaXgiOiJzZXNzaW9uIiwic2NvcGVzIjoicmVhZCIsImF1ZCI6"
    "Imh0dHBzOi8vcmVsYXkuZXhhbXBsZS50ZXN0L2FjY2VzcyIsImV4cCI6NDEwMjQ0NDgwMCwibmJmIjoxNzAwMDAw"
    "MDAwLCJpYXQiOjE3MDAwMDAwMDB9.m7GhaB6inxxy5bj7fZ9UBEXGQmSpLhoLL0rwYJvFBQA"
)
V10 = (
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJib29raW5nX2lkIjoiYmstNDIiLCJ0b3BpYyI6InJpZzA3LXN"
    "0LWRhdGEiLCJwcmVmaXgiOiJzZXNzaW9uIiwic2NvcGVzIjpbInJlYWQiXSwiYXVkIjpbImh0dHBzOi8vcmVsYXk"
    "uZXhhbXBsZS50ZXN0L2FjY2VzcyJdLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzA"
    "wMDAwMDAwfQ.4TLcHU8aRbbVCClrHugObvZXISCRol8wAJEPFT3O-GsOlk-5hmR0r9b0zlxkcVAoGx3Z76vN4dQL"
    "y0fuegabMw"
)
