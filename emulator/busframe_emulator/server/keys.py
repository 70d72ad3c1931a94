"""Reads the file of access keys that `busframe emulator --auth` takes.

A key has a table of its own:

[keys.AKIDEXAMPLE]
secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
account = "111111111111"
user = "alice"                 # optional; or arn = "arn:aws:iam::111111111111:role/worker"
session_token = "..."          # optional: has to come with the key
actions = ["sqs:SendMessage"]  # optional: all that the user may do; needs --enforce-policies
policy = "worker.json"         # optional: an IAM policy, in a file beside this one; needs --enforce-policies

Before the first there may be `regions = ["us-east-1"]`: those that are served.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from os import PathLike

_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII).fullmatch
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch
_USER: Final = re.compile(r"[A-Za-z0-9+=,.@_/-]{1,128}").fullmatch
_ARN: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::([0-9]{12}):[A-Za-z-]+(?:/[^\s*?]+)?", re.ASCII).fullmatch


class KeysError(ValueError):
    """The file of keys cannot be used. The text says where and why, and shows no secret."""


class _KeyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    secret: str
    account: str
    user: str | None = None
    arn: str | None = None
    session_token: str | None = None
    actions: list[str] | None = None
    policy: str | None = None


class _KeysText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: dict[str, _KeyText]
    regions: list[str] | None = None


def read_keys(path: str | PathLike[str]) -> Keys:
    """Read a file of keys.

    Raises:
        KeysError: it cannot be read, or something in it is wrong.
    """
    try:
        given = msgspec.convert(tomllib.loads(Path(path).read_text()), _KeysText)
        return Keys(
            keys=[_read_key(access_key, key, Path(path).parent) for access_key, key in given.keys.items()],
            regions=None if given.regions is None else frozenset(given.regions),
        )
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # of TOML, of msgspec, and our own
        raise KeysError(f"{path}: {error}") from error


def _read_key(access_key: str, given: _KeyText, folder: Path) -> Key:
    arn = given.arn if given.user is None else f"arn:aws:iam::{given.account}:user/{given.user}"
    try:
        _check_key(access_key, given, arn)
        policy = None if given.policy is None else _read_policy(folder / given.policy)
    except ValueError as error:
        raise ValueError(f"keys.{access_key}: {error}") from error
    return Key(
        access_key=access_key,
        secret=given.secret,
        account=given.account,
        arn=arn,
        session_token=given.session_token,
        actions=None if given.actions is None else tuple(given.actions),
        policy=policy,
    )


def _read_policy(path: Path) -> str:
    from busframe_emulator.api.access import read_identity_policy  # as below

    try:
        text = path.read_text()
        read_identity_policy(text)
    except OSError as error:
        raise ValueError(f"policy {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"policy {path}: {error}") from error
    return text


def _check_key(access_key: str, given: _KeyText, arn: str | None) -> None:
    named = _ARN(arn) if arn is not None else None
    for good, fault in (
        (_ACCESS_KEY(access_key), "an access key has letters, digits, hyphens and underscores only"),
        (given.secret, "the secret is empty"),
        (given.session_token != "", "the session token is empty"),
        (_ACCOUNT(given.account), "account has to be twelve digits"),
        (given.user is None or given.arn is None, "either user or arn"),
        (given.user is None or _USER(given.user), "user is not the name of an IAM user"),
        (arn is None or (named and named[1] == given.account), "arn is not of IAM, or not of the account"),
    ):
        if not good:
            raise ValueError(fault)
    if given.actions:
        from busframe_emulator.api.access import check_action  # brings the whole of policies with it

        for action in given.actions:
            check_action(action)
