"""The way to a target refuses what is no host, and ``--host`` moves it elsewhere."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwprofiles import HardwareProfile, ProfileError, Sparsity, SshReach

BOARD = SshReach(host="board", port=2222, user="pi")


@pytest.mark.parametrize(
    ("destination", "user", "host", "port"),
    [
        ("other", "pi", "other", 2222),
        ("me@other", "me", "other", 2222),
        ("other:22", "pi", "other", 22),
        ("me@10.0.0.7:2022", "me", "10.0.0.7", 2022),
        ("[::1]", "pi", "::1", 2222),
        ("me@[fe80::1%eth0]:22", "me", "fe80::1%eth0", 22),
        ("me@board-7.lab.example:1", "me", "board-7.lab.example", 1),
    ],
)
def test_host_option_says_where_and_keeps_the_rest(destination: str, user: str, host: str, port: int) -> None:
    moved = BOARD.at(destination)
    assert (moved.user, moved.host, moved.port) == (user, host, port)
    assert moved.python_command == BOARD.python_command


@pytest.mark.parametrize(
    "destination",
    ["", "@board", "me@", "::1", "board:", "board:port", "board:0", "board:65536", "a b", "board\n", "me@you@board",
     "-oProxyCommand=x", "-l@board", "[board]", "[::1]x"],
)  # fmt: skip
def test_what_is_no_host_is_refused_with_its_value(destination: str) -> None:
    with pytest.raises(ProfileError, match="--host") as caught:
        BOARD.at(destination)
    assert repr(destination) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "-oProxyCommand=x"),
        ("host", "a b"),
        ("user", "-l"),
        ("port", 0),
        ("python_command", ()),
        ("python_command", ("python3", "")),
        ("python_command", ("python3", "a\0b")),
        ("connect_timeout_s", 0),
        ("password", "secret"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        SshReach.model_validate({"host": "board", key: value})


def test_profile_that_is_not_reached_over_ssh_has_no_host() -> None:
    profile = HardwareProfile(name="here", summary="This machine", sparsity=Sparsity(channel_multiple=16))
    with pytest.raises(ProfileError, match="'here' is reached by transport = 'local'; --host goes with 'ssh'"):
        profile.with_host("board")
    away = profile.model_copy(update={"reach": BOARD})
    assert away.with_host("me@other").reach == SshReach(host="other", port=2222, user="me")
