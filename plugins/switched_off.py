"""Authentication that a deployment switches off by a name that says so, for programs that the catalogue does not decide."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmscan import Container, Endpoint, Origin, Place, Reach, Rule, Scan, Severity, Verdict, fail, hookimpl, rule

WHAT = r"(?:AUTH|AUTHENTICATION|AUTHN|LOGIN|ACCESS_CONTROL)"
DEMANDS = re.compile(
    rf"(?:REQUIRE|REQUIRES|ENABLE|ENABLED|USE|FORCE)_{WHAT}$|(?:^|_){WHAT}(?:_(?:ENABLED?|REQUIRED|ON|ACTIVE))?$",
    re.IGNORECASE,
)
"""Names of switches that demand a login, so that `false` lets everybody in."""
WAIVES = re.compile(
    rf"(?:DISABLE|NO|SKIP|BYPASS|WITHOUT|OMIT)_?{WHAT}$|(?:^|_){WHAT}_DISABLED$"
    r"|(?:ALLOW|ENABLE)_ANONYMOUS(?:_(?:ACCESS|AUTH|LOGIN|MODE|USERS?))?$|(?:^|_)ANONYMOUS_(?:ACCESS|AUTH|LOGIN|MODE)(?:_(?:ENABLED?|ALLOWED))?$",
    re.IGNORECASE,
)
"""Names of switches that waive a login, so that `true` lets everybody in."""
KINDS = re.compile(
    r"(?:^|_)(?:AUTH|AUTHENTICATION|AUTHN)_(?:TYPE|MODE|METHOD|BACKEND|PROVIDER|STRATEGY)$", re.IGNORECASE
)
"""Names of choices between ways to log in, of which `none` is one."""
ONE_OF_SEVERAL = re.compile(
    r"SMTP|MAIL|PROXY|OAUTH|OIDC|OPENID|LDAP|SAML|SSO|MFA|2FA|TOTP|OTP|GITHUB|GITLAB|GOOGLE|MICROSOFT|AZURE|ENTRA|OKTA|FACEBOOK|DISCORD|APPLE|KERBEROS"
    r"|BASIC|JWT|TOKEN|KEY|CERT|TLS|SSL|REDIS|MONGO|KAFKA|RABBIT|DATABASE|(?:^|_)DB_|POSTGRES|MYSQL|S3|REGISTRY|GIT_|EMAIL|PASSWORD|MAGIC|PHONE|SOCIAL|WEBAUTHN"
    r"|PASSKEY|CLIENT|UPSTREAM|REMOTE|METRICS|AUTO_LOGIN|SIGNUP",
    re.IGNORECASE,
)
"""What is only one way to log in among others, or a login at another service."""
NO = frozenset({"false", "0", "no", "off", "none", "disabled", "disable"})
YES = frozenset({"true", "1", "yes", "on"})
NONE = frozenset({"none", "noauth", "no-auth", "no_auth", "noop", "disabled", "off", "anonymous", "open"})
FLAG = re.compile(
    r"--(?:no|disable|skip|without|insecure-no|allow-no|dangerously-omit)-?auth(?:entication|n)?|--(?:allow-)?anonymous(?:-(?:mode|access|auth))?"
)
CHOICE = re.compile(r"--auth(?:entication|n)?(?:-(?:type|mode|method))?")


def switched_off(name: str, value: str) -> bool:
    """Whether a named value says that nobody is asked to log in."""
    text = value.strip().strip("\"'").lower()
    if ONE_OF_SEVERAL.search(name):
        return False
    if WAIVES.search(name):
        return text in YES
    return bool((text in NO and DEMANDS.search(name)) or (text in NONE and KINDS.search(name)))


def _in_environment(container: Container) -> Iterator[tuple[str, Place | None]]:
    for setting in container.env.values():
        if setting.value is not None and setting.origin != Origin.IMAGE and switched_off(setting.name, setting.value):
            yield setting.name, setting.place


def _in_commands(container: Container, scan: Scan) -> Iterator[tuple[str, Place | None]]:
    for line in scan.command_lines(container):
        for index, word in enumerate(line):
            name, equals, value = word.raw.partition("=")
            following = value if equals else (line[index + 1].raw if index + 1 < len(line) else "")
            waived = FLAG.fullmatch(name) and (not equals or value.lower() in YES)
            if waived or (CHOICE.fullmatch(name) and following.strip("\"'").lower() in NONE | {"false"}):
                yield name, word.place


def _decided(container: Container, scan: Scan) -> bool:
    """Whether the catalogue says of a product of this container whom it lets in."""
    decisions = (scan.decision("authentication", running, container) for running in scan.products_of(container))
    return any(decision is not None and decision.possible for decision in decisions) or any(
        isinstance(running.product.facts.get("authentication"), dict) for running in scan.products_of(container)
    )


@rule(
    "AUT010", "Authentication is switched off", Severity.HIGH, category="unauthenticated-endpoint", refs=("CWE-306", "API2:2023", "AISVS-1.0:C5"),
)  # fmt: skip
def authentication_switched_off(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A setting says that callers are asked for no credential: whoever reaches the port uses the service as its owner can.

    Switch authentication on, or let only an authenticating proxy reach the port.
    """
    if container.role == "init" or not scan.workload_of(container).runs or _decided(container, scan):
        return
    endpoint = max(scan.endpoints_of(container), key=lambda one: one.reach, default=None)
    reach = Reach.CLUSTER if endpoint is None else endpoint.reach
    if reach < Reach.CLUSTER:
        return
    for name, place in (*_in_environment(container), *_in_commands(container, scan)):
        yield fail(
            f"{name} switches authentication off. {_reached(endpoint)}",
            place=place,
            setting="authentication",
            reach=reach,
        )
        return


def _reached(endpoint: Endpoint | None) -> str:
    way = endpoint.farthest() if endpoint is not None else None
    return f"{way.text[:1].upper()}{way.text[1:]}." if way is not None else "Every peer that reaches it can use it."


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [authentication_switched_off]
