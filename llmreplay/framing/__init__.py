"""Bytes to frames and back, incremental and pure: event streams, line-delimited JSON, content codings."""
