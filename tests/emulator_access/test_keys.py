"""The file of keys, and the command line that takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from busframe_emulator.server.emulator import EmulatorServer
from busframe_emulator.server.keys import KeysError, read_keys
from busframe_emulator.wire.verified import Key, Keys

WHOLE = """
regions = ["us-east-1"]

[keys.AKIDEXAMPLE]
secret = "s3cret"
account = "111111111111"
user = "team/alice"
actions = ["sqs:SendMessage", "sqs:Get*"]

[keys.ASIAEXAMPLE]
secret = "another"
account = "222222222222"
arn = "arn:aws:iam::222222222222:role/worker"
session_token = "ticket"

[keys.ROOT]
secret = "third"
account = "333333333333"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_a_file_of_keys_is_read(path: Path) -> None:
    path.write_text(WHOLE)
    keys = read_keys(path)
    assert keys.regions == frozenset({"us-east-1"})
    assert keys.keys == [
        Key(
            access_key="AKIDEXAMPLE",
            secret="s3cret",  # noqa: S106 - nobody's
            account="111111111111",
            arn="arn:aws:iam::111111111111:user/team/alice",
            actions=("sqs:SendMessage", "sqs:Get*"),
        ),
        Key(
            access_key="ASIAEXAMPLE",
            secret="another",  # noqa: S106 - nobody's
            account="222222222222",
            arn="arn:aws:iam::222222222222:role/worker",
            session_token="ticket",  # noqa: S106 - nobody's
        ),
        Key(access_key="ROOT", secret="third", account="333333333333"),  # noqa: S106 - nobody's
    ]


def test_a_secret_is_not_shown(path: Path) -> None:
    path.write_text(WHOLE)
    shown = repr(read_keys(path))
    assert "AKIDEXAMPLE" in shown
    assert not any(secret in shown for secret in ("s3cret", "another", "ticket", "third"))


def test_a_policy_is_read_from_beside_the_file(path: Path) -> None:
    policy = '{"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}}'
    path.with_name("sender.json").write_text(policy)
    path.write_text(f'[keys.K]\n{GOOD}policy = "sender.json"')
    keys = read_keys(path)
    assert [key.policy for key in keys.keys] == [policy]
    with pytest.raises(ValueError, match="the key K is limited to some actions, which needs"):
        EmulatorServer(keys=keys)
    path.with_name("sender.json").write_text(policy.replace("Send", "Sent"))
    with pytest.raises(KeysError, match=r"keys\.K: policy .*sender\.json: there is no action sqs:SentMessage"):
        read_keys(path)
    path.with_name("sender.json").unlink()
    with pytest.raises(KeysError, match=r"keys\.K: policy .*sender\.json: No such file"):
        read_keys(path)


GOOD = 'secret = "s3cret"\naccount = "111111111111"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Object missing required field `keys`"),
        ("[keys", "Expected ']'"),
        ('[keys.K]\nsecret = "s3cret"', "Object missing required field `account` - at `$.keys[...]`"),
        (f'[keys.K]\n{GOOD}accounts = "x"', "Object contains unknown field `accounts`"),
        ('[keys.K]\nsecret = "s3cret"\naccount = "1"', "keys.K: account has to be twelve digits"),
        ('[keys.K]\nsecret = ""\naccount = "111111111111"', "keys.K: the secret is empty"),
        (f'[keys."a/b"]\n{GOOD}', "keys.a/b: an access key has letters"),
        (f'[keys.K]\n{GOOD}user = "a b"', "keys.K: user is not the name of an IAM user"),
        (f'[keys.K]\n{GOOD}user = "a"\narn = "b"', "keys.K: either user or arn"),
        (f'[keys.K]\n{GOOD}arn = "arn:aws:iam::222222222222:user/a"', "keys.K: arn is not of IAM, or not of the"),
        (f'[keys.K]\n{GOOD}actions = ["s3:GetObject"]', "keys.K: s3:GetObject is not an action of sqs"),
    ],
)
def test_what_is_wrong_with_a_file_of_keys_is_named(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    with pytest.raises(KeysError) as caught:
        read_keys(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_limited_keys_without_enforcement_are_refused() -> None:
    limited = Key(access_key="K", secret="s", account="111111111111", actions=())  # noqa: S106 - nobody's
    with pytest.raises(ValueError, match=r"the key K is limited to some actions, which needs .* --enforce-policies"):
        EmulatorServer(keys=Keys(keys=[limited]))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    source = Path(__file__).parents[2] / "emulator"
    return subprocess.run(
        [sys.executable, "-m", "busframe_emulator", "--port", "0", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(source)},
    )


def test_the_command_line_says_in_one_line_what_is_wrong(path: Path) -> None:
    missing = run("--auth", str(path))
    assert (missing.returncode, missing.stderr) == (1, f"busframe emulator: {path}: No such file or directory\n")
    odd = run("--public-url", "example.com")
    assert odd.returncode == 1
    assert odd.stderr == ("busframe emulator: the public URL has to be like https://sqs.example.com, not example.com\n")


def test_starting_without_keys_and_policies_loads_nothing_of_them() -> None:
    program = (
        "import sys, busframe_emulator.server.command\n"
        "from busframe_emulator.server.emulator import EmulatorServer\n"
        "EmulatorServer()\n"
        "names = ['hmac', 'tomllib', 'fnmatch', 'ipaddress', 'busframe_emulator.api.access', "
        "'busframe_emulator.wire.sigv4']\n"
        "print([name for name in names if name in sys.modules])"
    )
    source = Path(__file__).parents[2] / "emulator"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert loaded.stdout == "[]\n"
