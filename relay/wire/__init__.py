"""Byte tools: no network, no clock."""
