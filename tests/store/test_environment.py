"""What tasks ran under is kept by its content, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui_lab.store.environment import capture, load, looks_secret, public, public_words, without_secrets


def test_equal_facts_are_one_file(tmp_path: Path) -> None:
    first = capture(tmp_path, {"os": "Linux", "cores": 8})
    assert capture(tmp_path, {"cores": 8, "os": "Linux"}) == first
    other = capture(tmp_path, {"cores": 9, "os": "Linux"})
    assert sorted(path.stem for path in (tmp_path / "environment").iterdir()) == sorted([first, other])
    assert load(tmp_path, first) == {"os": "Linux", "cores": 8}


@pytest.mark.parametrize("digest", [None, 3, "", "../../etc/passwd", "0" * 64])
def test_what_is_not_there_is_nothing(tmp_path: Path, digest: object) -> None:
    assert load(tmp_path, digest) == {}


def test_a_damaged_file_is_nothing(tmp_path: Path) -> None:
    digest = capture(tmp_path, {"a": 1})
    path = tmp_path / "environment" / f"{digest}.json"
    path.write_text("[1]")
    assert load(tmp_path, digest) == {}
    path.write_bytes(b"\xff{")
    assert load(tmp_path, digest) == {}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "WANDB_API_KEY",
        "DB_PASSWORD",
        "PGPASSWORD",
        "apiKey",
        "HF_TOKENS",
        "DATABASE_URL",
        "MY_PWD",
        "Authorization",
        "SENTRY_DSN",
        "ssh_private_key",
        "SESSION_ID",
        "COOKIE",
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "AUTHOR", "KEYBOARD", "CUDA_VISIBLE_DEVICES"]
)
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name)


def test_variables_that_look_secret_are_left_out(tmp_path: Path) -> None:
    variables = {"HOME": "/home/ana", "API_TOKEN": "x", "PIP_INDEX": "https://ana:hunter2@example.org/simple"}
    shown = {"HOME": "/home/ana", "PIP_INDEX": "https://***@example.org/simple"}
    assert public(variables) == shown
    assert load(tmp_path, capture(tmp_path, {"variables": variables})) == {"variables": shown}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('+password = "hunter2 and more"', "+password = ***"),
        ("+export API_KEY=abcdef0123", "+export API_KEY=***"),
        ("-  'token': 'abcdef',", "-  'token': ***,"),
        ("db_password: hunter2", "db_password: ***"),
        ("Authorization: Bearer abcdef.ghi", "Authorization: Bearer ***"),
        ("clone https://ana:hunter2@example.org/x", "clone https://***@example.org/x"),
        ("x = f(AKIAABCDEFGHIJKLMNOP)", "x = f(***)"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "***"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb", None),
        ("+tokenizer = AutoTokenizer.load(name)", "+tokenizer = AutoTokenizer.load(name)"),
        ("+max_tokens: 512", "+max_tokens: 512"),
        ("+lr = 0.1  # the key to success", "+lr = 0.1  # the key to success"),
    ],
)
def test_texts_without_secrets(text: str, shown: str | None) -> None:
    found = without_secrets(text)
    assert found == (shown if shown is not None else "a\n-----BEGIN RSA PRIVATE KEY----- ***\nb")


def test_a_megabyte_of_one_word_takes_no_time() -> None:
    text = json.dumps("token" * 50_000) + "x" * 500_000 + "password_" * 20_000
    assert len(without_secrets(text)) <= len(text)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--run", "x.yaml", "api_token=abcdef"], ["--run", "x.yaml", "api_token=***"]),
        (["--run", "x.yaml", "lr=0.1,0.2", "max_tokens=4096"], ["--run", "x.yaml", "lr=0.1,0.2", "max_tokens=4096"]),
        (["--token", "abc", "--password=x y", "x.yaml"], ["--token", "***", "--password=***", "x.yaml"]),
        (
            ["explore", "--vl", "password", "a1", "b2", "--vl", "n", "1"],
            ["explore", "--vl", "password", "***", "***", "--vl", "n", "1"],
        ),
        (["--cmd", "run --api-key abc --n 3"], ["--cmd", "run --api-key *** --n 3"]),
        (["--cmd", "run --api-key {key} --n 3"], ["--cmd", "run --api-key {key} --n 3"]),
        (["x=https://ana:hunter2@example.org/"], ["x=https://***@example.org/"]),
        (["--run", "secrets.yaml", "n=1"], ["--run", "secrets.yaml", "n=1"]),
    ],
)
def test_command_lines_without_secrets(words: list[str], shown: list[str]) -> None:
    assert public_words(words) == shown
