"""boto3 sessions and clients that cost little and know nothing of the machine they are on.

What costs is the reading of botocore's models: once per process, here. A client made after that takes 2 ms. None of
this reads the user's AWS configuration: neither files nor profiles nor endpoints named in the environment, so a test
runs alike everywhere.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from botocore.config import Config

SECRET: Final = "busframe"  # noqa: S105 - nobody's

_VARIABLES: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ignore_configured_endpoint_urls": (None, None, True, None),
}
"""Where botocore looks for its settings, cut down to the default."""

_making: Final = threading.Lock()
"""A session is not safe for threads that make clients of it."""


def make_client(
    *, region_name: str, account: str, endpoint_url: str | None = None, config: Config | None = None
) -> Any:
    """Make an SQS client, whose access key is its account."""
    with _making:
        return _shared_session().client(
            "sqs",
            region_name=region_name,
            endpoint_url=endpoint_url,
            aws_access_key_id=account,
            aws_secret_access_key=SECRET,
            config=config,
        )


def make_session(*, region_name: str, account: str) -> Any:
    """Make a session of its own, which shares the models with all others made here."""
    with _making:
        return _make_session(_shared_session()._loader, region_name, account)  # noqa: SLF001 - boto3 has no other way


@cache
def _shared_session() -> Any:
    return _make_session(None, None, None)


def _make_session(loader: Any, region_name: str | None, account: str | None) -> Any:
    try:
        boto3: Any = import_module("boto3")
    except ImportError as error:
        raise ImportError("boto3 is not installed: pip install 'busframe[sqs]'") from error
    # botocore comes with boto3, and is no dependency of this project's own.
    core: Any = import_module("botocore.session").Session(session_vars=_VARIABLES)
    # Left to itself, botocore makes a User-Agent for each call, which is a third of the call.
    core.set_default_client_config(import_module("botocore.config").Config(user_agent="busframe"))
    if loader is None:
        return boto3.Session(botocore_session=core)
    core.register_component("data_loader", loader)
    paths = list(loader.search_paths)
    session = boto3.Session(
        botocore_session=core,
        region_name=region_name,
        aws_access_key_id=account,
        aws_secret_access_key=SECRET,
    )
    loader.search_paths[:] = paths  # each session adds boto3's own again
    return session
