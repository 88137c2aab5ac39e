"""What a scan says of secrets: what is one, what is a placeholder, and on which line it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from file_scans import failing, scan_files

Told = Callable[..., list[tuple[str, str, int]]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is told of secrets in some files by name: the setting or message, the file and the line."""
    monkeypatch.chdir(tmp_path)

    def scan(rule: str, **files: str) -> list[tuple[str, str, int]]:
        for name, text in files.items():
            Path(name.replace("_", ".")).write_text(text)
        report = scan_files(*(Path(name.replace("_", ".")) for name in files))
        found = failing(report, [rule])
        return [(f.setting if rule == "SEC001" else f.message, f.place.path, f.place.line) for f in found if f.place]

    return scan


def test_a_mounted_configuration_file_is_looked_through(told: Told) -> None:
    """Each secret has the line of the file on which it stands; references and variables are none."""
    found = told(
        "SEC001",
        compose_yaml="services:\n  litellm:\n    image: ghcr.io/berriai/litellm:v1.60.0\n    volumes: ['./litellm.yaml:/app/config.yaml']\n"
        "    configs: [{source: more, target: /app/more.yaml}]\nconfigs:\n  more:\n    content: |\n      other:\n        api_key: tulip-harbour-43\n",
        litellm_yaml="model_list:\n- litellm_params:\n    api_key: tulip-harbour-42\n    other_api_key: os.environ/KEY\n"
        "general_settings:\n  database_url: postgresql://u:tulip-harbour@db/x\n",
    )
    assert found == [
        ("api_key in more.yaml", "compose.yaml", 10),
        ("api_key in config.yaml", "litellm.yaml", 3),
        ("database_url in config.yaml", "litellm.yaml", 6),
    ]


@pytest.mark.parametrize(
    ("value", "expected"), [("tulip_harbour_42", 1), ("TULIP_HARBOUR", 0), ("tulip-harbour-42", 1), ("your-key", 0)]
)
def test_a_placeholder_is_written_in_capitals(told: Told, value: str, expected: int) -> None:
    """Lower-case words with underscores are a password."""
    compose = f"services:\n  app:\n    image: app:1\n    environment: [STORE_API_KEY={value}]\n"
    assert len(told("SEC001", compose_yaml=compose)) == expected


def test_entries_of_a_secret_are_told_by_what_they_are_named_for(told: Told) -> None:
    """Users, regions and empty entries are no secrets; a password that everybody guesses is one in force."""
    found = told(
        "SEC002",
        secret_yaml="apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  POSTGRES_USER: bob\n  S3_REGION: us-east-1\n"
        "  POSTGRES_PASSWORD: changeme\n  OTHER_PASSWORD: <your password>\n  blob: tulip-harbour-42\ndata:\n  vertex-key.json:\n",
    )
    assert [message for message, _, _ in found] == ["Secret 'db' holds POSTGRES_PASSWORD, blob in plain text."]


def test_a_template_of_an_env_file_is_to_be_filled_in(told: Told) -> None:
    """What says so there is no secret, what does not is one; the file that is in force holds one all the same."""
    text = "ADMIN_PASSWORD=change-me\nSESSION_SECRET=tulip-harbour-42\n"
    named = "services: {app: {image: 'app:1', env_file: .env}}\n"
    assert [m for m, _, _ in told("SEC002", compose_yaml=named, _env=text)] == [
        "The file holds ADMIN_PASSWORD, SESSION_SECRET in plain text."
    ]
    assert [m for m, _, _ in told("SEC002", _env_example=text)] == ["The file holds SESSION_SECRET in plain text."]


def test_a_root_token_is_a_token_whatever_its_name_ends_in(told: Told) -> None:
    """Development servers take it from a variable that ends in ID."""
    compose = "services: {vault: {image: 'vault:1', environment: {VAULT_DEV_ROOT_TOKEN_ID: tulip-harbour}}}\n"
    assert [setting for setting, _, _ in told("SEC001", compose_yaml=compose)] == ["VAULT_DEV_ROOT_TOKEN_ID"]
