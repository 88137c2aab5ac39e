"""Secrets in plain sight: literal values where a reference to a secret belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from llmscan import (
    Container,
    Origin,
    Place,
    Resource,
    Rule,
    Scan,
    Setting,
    Severity,
    Stack,
    Verdict,
    fail,
    hookimpl,
    rule,
)
from llmscan.model import LooseValue
from llmscan.places import line_within

CATEGORY = "plaintext-secret"
REFS = ("CWE-798", "CWE-312", "AML.T0055", "MCP01:2025", "NSA-CISA-K8s-1.2:network")
SECRET_NAME = re.compile(
    r"(?:^|[_.\-a-z])(?:PASSWORDS?|PASSWD|PASSPHRASE|PWD|PSW|PASS|SECRETS?|TOKENS?(?=$|_(?:KEY|SECRET|SALT|SEED|VALUE|DEV|PROD|TEST|\d+)|[.\-])|API_?KEYS?|APIKEY|ACCESS_?KEY|PRIVATE_?KEY|ENCRYPTION_?KEY|MASTER_?KEY"
    r"|SIGNING_?KEY|AUTH_?KEY|SECRET_?KEY|ENC_?KEY|FERNET_?KEY|ROOT_?KEY|ADMIN_?KEY|SERVER_?KEY|KEY_?BASE|SALT|CREDENTIALS?)(?:$|[_.\-])|(?:REDIS|REDISCLI|VALKEY|CACHE|BROKER)_AUTH$",
    re.IGNORECASE,
)
NO_SECRET_NAME = re.compile(
    r"(?:_|^|-|\.)(?:FILE|PATH|DIR|URL|URI|ENDPOINT|HEADER|NAME|ID|TTL|EXPIRES?|EXPIRATION|EXPIRY|EXPIRE|LENGTH|SIZE|LIMIT|COUNT|ENABLED?|DISABLED?|REQUIRED|TYPE"
    r"|PREFIX|POLICY|ALGORITHM|MODE|USER|USERNAME|REGION|VERSION|SECONDS|MINUTES|HOURS|DAYS|ROUNDS|HOST|PORT|SCOPES?|RESET|PARALLELISM"
    r"|USERS|EMAILS?|UNIT|INTERVAL|WINDOW|FORMAT|PROVIDER|BACKEND|STRATEGY|ENCODING|ISSUER|AUDIENCE|DOMAIN|AGE|LIFETIME|DURATION|VALIDITY|ROTATION|LEVEL|REF|STATUS|FIELD"
    r"|CLAIM|ATTRIBUTE|DB|DATABASE|BUCKET|SCHEMA|TABLE)$|INITIAL_CLUSTER_TOKEN$"
    r"|(?:MAX|MIN|NUM|TOTAL|CHUNK|CONTEXT|INPUT|OUTPUT|PROMPT|BATCH|TOP|STOP|PAD|EOS|BOS|NEW|ALLOW|ENABLE|DISABLE|REQUIRE|USE|SKIP|GENERATED?)_?.*TOKENS?$"
    r"|PUBLIC_?KEY|TOKENIZER|TOKENIZERS|^(?:ENABLE|DISABLE|ALLOW|REQUIRE|USE|SKIP|SHOW|HIDE)_|MAX_.*TOKEN|PWD$(?<=^PWD)",
    re.IGNORECASE,
)
ROOT_TOKEN = re.compile(r"ROOT_TOKEN_ID$", re.IGNORECASE)
"""A token itself, in spite of its name."""
OWN_SECRET = re.compile(
    r"JWT|SESSION|NEXTAUTH|SECRET_?KEY(?!_?ID)|ENCRYPTION|SALT|MASTER_?KEY|REGISTRATION|SIGNING|COOKIE|ROOT_?PASS|ADMIN_?PASS|(?:^|_)PASSWORD$|KEY_?BASE"
    r"|CREDS_(?:KEY|IV)|APP_?SECRET|AUTH_?SECRET|ROOT_?KEY|ADMIN_?(?:KEY|TOKEN)|SERVER_?KEY|^AUTH_?TOKEN$|(?:PASSWD|PSW)$|(?:REDIS|REDISCLI|VALKEY|CACHE|BROKER)_AUTH$",
    re.IGNORECASE,
)
"""Names of secrets that the service itself checks or signs with: there a placeholder is the secret in force."""
OF_ANOTHER = re.compile(r"SMTP|MAIL|IMAP", re.IGNORECASE)
"""Names of secrets of another's server, where a placeholder only does not work."""
PLACEHOLDER = re.compile(
    r"^<.*>$|^\[.*\]$|^%.*%$|^@.*@$|__.*__$|your|change.?(?:me|this|it)|replace|place.?holder|x{3,}|\*{3,}|\.{3}|example|to.?do|insert|dummy|my.?(?:token|key|secret|password)"
    r"|(?-i:^\$?[A-Z][A-Z0-9]*_[A-Z0-9_]+$)|hf_(?:token|xxx|your)|enter|fill|here$|redacted|update.?me|^token$|^secret$|^password$|^key$|^string$",
    re.IGNORECASE,
)
OWN_PLACEHOLDER = re.compile(r"^<.*>$|\{\{|\$\{|^%.*%$|^@.*@$", re.IGNORECASE)
"""Placeholders that something fills in before the service starts, even for its own secret."""
NO_KEY = re.compile(
    r"^(?:none|null|nil|empty|na|n/?a|no|nokey|no[-_ ]?key.*|not[-_ ]?(?:needed|required|used|applicable|set).*"
    r"|sk-(?:no|none|dummy|fake|xxx|not|empty|1234|111+|000+).*|fake.*|dummy.*|test.*|[a-z]*api[-_]?key|local|key|anything|abc.*|foo|bar|x+|0+|1+|unused|ignored?|sk-?|token-abc123|random|whatever)$",
    re.IGNORECASE,
)
"""Keys that clients of keyless servers are given because their library wants one."""
PROVIDER_KEY = re.compile(
    r"^(?:hf_[A-Za-z0-9]{20,}|sk-(?:ant-|proj-|lf-)?[A-Za-z0-9_-]{24,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[abpr]-[\w-]{20,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|nvapi-[\w-]{30,})$"
)
VARIABLE = re.compile(r"^\$|\{\{.*\}\}|^os\.environ|^env[:/]|\$\{[^}]*\}|\$\([^)]*\)")
NOT_SECRET = re.compile(
    r"^(?:#.*|true|false|yes|no|on|off|\d{1,5}(?:\.\d+)?|~?/[\w./-]*|https?://[^@]*|[\w.-]+:\d+|)$", re.IGNORECASE
)
URL_CREDENTIALS = re.compile(r"^[a-z][a-z0-9+.-]*://[^\s/:@]*:(?P<password>[^\s/@]+)@", re.IGNORECASE)
CONNECTION_STRING = re.compile(r"(?:^|[\s;?&])(?:password|pwd)\s*=\s*'?(?P<password>[^\s;'\"&]+)", re.IGNORECASE)
"""A password inside a connection string (`host=db user=app password=...`)."""
MASKED = re.compile(r"[*.•#_-]+|[xX]{3,}")
"""A password that somebody has blotted out."""
CERTIFICATES = re.compile(r"\s*-----BEGIN CERTIFICATE-----(?!.*PRIVATE KEY)", re.DOTALL)
SETTINGS_FILE = re.compile(r"\.(?:ya?ml|conf|cfg|cnf|ini|properties|toml)$", re.IGNORECASE)
SETTING_LINE = re.compile(r"^[ \t-]*[\"']?([\w.-]+)[\"']?[ \t]*(?:[:=]|=>)[ \t]*(\S.*)$", re.MULTILINE)
LITERAL = re.compile(r"[^\s(){}$<>*&|\[\]]{3,}")
REFERENCE_KEY = re.compile(r"existing|pull|ref$|refs$|name$|kind$|class$|file$|path$", re.IGNORECASE)
"""Keys of a configuration file that name a secret kept elsewhere."""
PASSWORD_NAME = re.compile(r"(?:PASSWORD|PASSWD|PSW|PASS)$", re.IGNORECASE)
GUESSED = re.compile(r"(?:change[-_]?me|(?:my|test)?passw(?:or|0r)d\d*|(?:my)?secret\d*|admin\d*)\Z", re.IGNORECASE)
"""Passwords that work as they are, whatever they were written for."""
TEMPLATE_FILE = re.compile(r"[._-](?:example|sample|template|dist)\b|(?:^|/)(?:example|sample)[._-]", re.IGNORECASE)
"""An env file that is to be copied and filled in."""
NUMBER = re.compile(r"^\d{3,5}$")
PAIR_NAME = re.compile(r"(?:^|_)(?:BASIC_?)?AUTH$|BASIC_?AUTH|_CREDENTIALS?$", re.IGNORECASE)
PAIR = re.compile(r"^[A-Za-z][\w.@-]*[/:](?P<password>[^/:\s]\S*)$")
"""A user and a password in one value (`NEO4J_AUTH=neo4j/password`), by which the service itself lets callers in."""
NO_LOGIN = re.compile(r'"auths"(?=.*"password"\s*:\s*"")(?!.*"password"\s*:\s*"[^"])', re.DOTALL)
"""A registry's login (`.dockerconfigjson`) whose passwords are all empty."""
PASSWORD_FLAGS = (
    "--api-key",
    "--requirepass",
    "--password",
    "--master-key",
    "--token",
    "--admin-api-key",
    "--auth-token",
    "--secret-key",
)


def is_secret(name: str, value: str | None, *, own: bool | None = None) -> bool:
    """Whether a named value is a secret written out: by its name, or because it is a URL with a password, or a provider's key."""
    if not value:
        return False
    text = value.strip().strip("\"'")
    if PROVIDER_KEY.match(text) and not re.search(r"(.)\1{5,}", text):
        return True
    inside = _password_inside(name, text)
    if inside is not None:
        hidden = MASKED.fullmatch(inside) or VARIABLE.search(inside) or OWN_PLACEHOLDER.search(inside)
        return not hidden and inside != "None"
    if (
        not _named_for_a_secret(name)
        or VARIABLE.search(text)
        or (NOT_SECRET.match(text) and not (PASSWORD_NAME.search(name) and NUMBER.match(text)))
    ):
        return False
    if own if own is not None else OWN_SECRET.search(name) and not OF_ANOTHER.search(name):
        return not OWN_PLACEHOLDER.search(text)
    return not PLACEHOLDER.search(text) and not NO_KEY.match(text)


@lru_cache(maxsize=4096)
def _named_for_a_secret(name: str) -> bool:
    if ROOT_TOKEN.search(name):
        return True
    return bool(SECRET_NAME.search(_spaced(name)) and not NO_SECRET_NAME.search(name))


def _password_inside(name: str, text: str) -> str | None:
    """The password within a URL, a connection string, or a pair of user and password."""
    found = URL_CREDENTIALS.match(text)
    if found is None and "\n" not in text:
        found = CONNECTION_STRING.search(text) or (PAIR.match(text) if PAIR_NAME.search(name) else None)
    return found["password"] if found else None


def _spaced(name: str) -> str:
    """camelCase as snake_case, so that one pattern reads both."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def _own(container: Container, scan: Scan, name: str) -> bool | None:
    """True where the catalogue says that the product of this container lets callers in by the variable; a provider's key that it holds is none."""
    return True if any(name in running.product.credentials for running in scan.products_of(container)) else None


def _for_keyless(setting: Setting, own: bool | None, scan: Scan) -> bool:
    """A product's own name as a key, which clients of keyless servers are given; as a service's own password it is one that everybody guesses."""
    named = (setting.value or "").strip().lower() in scan.catalogue.products
    return named and not own and not OWN_SECRET.search(setting.name)


def _settings(container: Container, scan: Scan) -> Iterator[Setting]:
    yield from container.env.values()
    for line in scan.command_lines(container):
        for index, word in enumerate(line):
            head, equals, value = word.raw.partition("=")
            if head not in PASSWORD_FLAGS:
                continue
            if equals:
                yield Setting(head, value if word.value is not None else None, word.place)
            elif index + 1 < len(line):
                following = line[index + 1]
                literal = following.value is not None and "$" not in following.raw
                yield Setting(head, following.value if literal else None, following.place)


def _of_env_files(scan: Scan) -> frozenset[str]:
    """The secrets of the env files that a project reads: they are told of once, where they stand."""
    return scan.memo("secrets of env files", lambda: frozenset(_secrets_of_env_files(scan.stack)))


def _secrets_of_env_files(stack: Stack) -> Iterator[str]:
    for loose in stack.loose_values:
        if loose.kind == "env file" and loose.setting.value and is_secret(loose.setting.name, loose.setting.value):
            yield loose.setting.value


@rule("SEC001", "Secret in plain text", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def literal_secret(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Whoever can read the file, the repository or the object has the secret, and so has everyone after them: history keeps it.

    Refer to a secret instead (`secretKeyRef`, compose `secrets`, a variable without a default), and change the value that was written here.
    """
    told: set[tuple[str, Place | None]] = set()
    for setting in _settings(container, scan):
        if not setting.value or setting.origin not in (Origin.LITERAL, Origin.CONFIG):
            continue
        if told and (setting.name, setting.place) in told:
            continue
        if setting.origin == Origin.CONFIG and setting.value in _of_env_files(scan):
            continue
        own = True if setting.name.startswith("--") else _own(container, scan, setting.name)
        if not _for_keyless(setting, own, scan) and is_secret(setting.name, setting.value, own=own):
            told.add((setting.name, setting.place))
            yield fail(f"{setting.name} holds a secret in plain text.", place=setting.place, setting=setting.name)
    for setting in _in_files(container, scan):
        yield fail(f"{setting.name} holds a secret in plain text.", place=setting.place, setting=setting.name)


def _in_files(container: Container, scan: Scan) -> Iterator[Setting]:
    """The secrets that configuration files set which a compose file or an engine mounts; those of ConfigMaps are told of with these."""
    if scan.workload_of(container).orchestrated:
        return
    for file in container.files:
        if SETTINGS_FILE.search(file.path):
            for key, value, index in _set_in(file.text):
                place = line_within(file.place, file.text, index, block=file.inline)
                yield Setting(f"{key} in {file.path.rpartition('/')[2]}", value, place)


@rule("SEC002", "Secrets in a file", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def secrets_in_a_file(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """base64 hides nothing, and a committed .env is as public as its repository: whoever can read the file has what it holds.

    Keep secrets out of the repository (a sealed or external secret, a secret manager), and change those that were written here.
    """
    grouped: dict[tuple[str, str, str, str], list[Setting]] = {}
    for loose in stack.loose_values:
        text = loose.decoded if loose.decoded is not None else loose.setting.value
        if loose.kind == "Secret" and _only_settings(loose.setting.name, text or ""):
            continue
        if _is_loose_secret(loose, text):
            path = loose.setting.place.path if loose.setting.place else ""
            grouped.setdefault((loose.kind, loose.name, loose.namespace, path), []).append(loose.setting)
    for name, namespace, setting in _in_config_maps(stack):
        path = setting.place.path if setting.place else ""
        grouped.setdefault(("ConfigMap", name, namespace, path), []).append(setting)
    for (kind, name, namespace, _), settings in grouped.items():
        settings = list({setting.name: setting for setting in reversed(settings)}.values())[::-1]
        names = ", ".join(setting.name for setting in settings[:5]) + (
            f" and {len(settings) - 5} more" if len(settings) > 5 else ""
        )
        what = f"{kind} '{name}'" if kind in ("Secret", "ConfigMap") else "The file"
        yield fail(
            f"{what} holds {names} in plain text.",
            place=settings[0].place,
            setting=f"{kind} {name}",
            resource=Resource(kind, name, namespace),
        )


def _is_loose_secret(loose: LooseValue, text: str | None) -> bool:
    """Whether an entry of a Secret or an env file is a secret: of a Secret any is, unless it is named for something else."""
    name = loose.setting.name
    if loose.kind != "Secret":
        path = loose.setting.place.path if loose.setting.place else ""
        return is_secret(name, text, own=False if TEMPLATE_FILE.search(path) else None)
    if not SECRET_NAME.search(_spaced(name)) and not NO_SECRET_NAME.search(name):
        name = f"{name}_secret"
    return is_secret(name, _worth(text, name), own=None if _client_key(loose.setting.name) else True)


def _client_key(name: str) -> bool:
    return bool(re.search(r"HF|HUGGING|OPENAI|ANTHROPIC|TOKEN|API_?KEY", name, re.IGNORECASE))


def _in_config_maps(stack: Stack) -> Iterator[tuple[str, str, Setting]]:
    """The secrets that configuration files in ConfigMaps set, each with the name and namespace of its ConfigMap."""
    for config in stack.configs:
        for entry in config.entries.values() if not config.secret and config.namespace else ():
            if entry.value and "\n" in entry.value and SETTINGS_FILE.search(entry.name):
                for _, value, index in _set_in(entry.value):
                    yield config.name, config.namespace, _in_entry(entry, value, index)


def _in_entry(entry: Setting, value: str, index: int) -> Setting:
    """A secret within an entry, on its own line where the entry is written out as a block."""
    place = entry.place
    if place is not None and entry.value and place.end_line > place.line:
        line = place.line + 1 + entry.value.count("\n", 0, index)
        place = Place(place.path, line, place.column, line)
    return Setting(f"a secret in {entry.name}", value, place)


def _set_in(text: str) -> Iterator[tuple[str, str, int]]:
    """The secrets that the lines of a configuration file set: the key, the value, and where the key stands in the text."""
    for match in SETTING_LINE.finditer(text):
        key, value = match[1], match[2].split(" #", 1)[0].strip().strip("\"'")
        if LITERAL.fullmatch(value) and not REFERENCE_KEY.search(key) and is_secret(_spaced(key), value):
            yield key, value, match.start(1)


def _only_settings(name: str, text: str) -> bool:
    """Whether an entry is a configuration file in which no line sets a secret."""
    if not SETTINGS_FILE.search(name) or "\n" not in text or "-----BEGIN" in text:
        return False
    named = (line.groups() for line in SETTING_LINE.finditer(text))
    return not any(is_secret(key, value) for key, value in named) and "://" not in text


def _worth(text: str | None, name: str) -> str | None:
    """Of a Secret, what is no placeholder and no certificate, which is public; a registry's login counts with a password in it."""
    if text is None or CERTIFICATES.match(text) or NO_LOGIN.search(text):
        return None
    in_force = PASSWORD_NAME.search(name) and GUESSED.match(text)
    return None if PLACEHOLDER.search(text) and len(text) < 60 and not in_force else text


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [literal_secret, secrets_in_a_file]
