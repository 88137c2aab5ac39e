"""What stops a live scan before it has begun."""


class TargetUnreachable(Exception):
    """The target of a live scan does not answer, or refuses to: one clear sentence, which holds no secret."""
