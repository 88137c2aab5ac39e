"""What reverse proxies pass on: their configuration, read into the ways that it opens to the workloads behind them."""

READABLE = frozenset({"caddy", "haproxy", "nginx", "traefik"})
"""The products of the catalogue whose configuration is read here; the readers are loaded where one of them runs."""
