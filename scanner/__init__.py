"""Find what is misconfigured in self-hosted language model deployments."""
