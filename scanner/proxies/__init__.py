"""What reverse proxies pass on: their configuration, read into the ways that it opens to the workloads behind them."""
