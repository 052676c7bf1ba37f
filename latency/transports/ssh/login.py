"""Logging in: a host key that is known, a key of ours, and what to do where either is refused."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from latency.errors import TargetError

if TYPE_CHECKING:
    from hwprofiles import SshReach

_SSH_PORT = 22


def where(reach: SshReach) -> str:
    """How errors call a target: ``[USER@]HOST[:PORT]``."""
    host = f"[{reach.host}]" if ":" in reach.host else reach.host
    user = f"{reach.user}@" if reach.user else ""
    return f"{user}{host}" + (f":{reach.port}" if reach.port != _SSH_PORT else "")


async def log_in(
    reach: SshReach, *, keepalive_s: float, keepalives: int
) -> tuple[asyncssh.SSHClientConnection, Client]:
    """A connection to a host whose key is known, authenticated with a key; and who hears of its end.

    Args:
        reach: where and as whom.
        keepalive_s: after this long without a word from the other side it is asked for one.
        keepalives: so many of these without an answer, and the link counts as lost.

    Raises:
        TargetError: the host key is not the known one, or there is no key of ours to show.
        PermissionError: the host refuses our keys. One that starts up may do so for a while.
        ConnectionError: nobody answers there, or no SSH server does.
    """
    known = _known_hosts(reach)
    client = Client(known)
    try:
        async with asyncio.timeout(reach.connect_timeout_s):
            connection, _ = await asyncssh.create_connection(
                lambda: client,
                reach.host,
                reach.port,
                config=None,
                known_hosts=known,
                preferred_auth="publickey",
                keepalive_interval=keepalive_s,
                keepalive_count_max=keepalives,
                **_identity(reach),
            )
    except TimeoutError as error:
        msg = f"no answer from {where(reach)} within {reach.connect_timeout_s:g} s; is it on, and is the address right?"
        raise ConnectionError(msg) from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise TargetError(_host_key_words(reach, client, str(error))) from error
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError) as error:
        raise await _no_common_key(reach, known, error) from error
    except asyncssh.PermissionDenied as error:
        raise PermissionError(_refusal_words(reach)) from error
    except (OSError, asyncssh.Error) as error:
        raise ConnectionError(_unreachable_words(reach, error)) from error
    return connection, client


class Client(asyncssh.SSHClient):
    """Keeps the host key that was not among the known ones, and why the connection ended.

    ``lost`` is None as long as it stands.
    """

    def __init__(self, known: asyncssh.SSHKnownHosts) -> None:
        self.shown: asyncssh.SSHKey | None = None
        self.expected: list[asyncssh.SSHKey] = []
        self.lost: str | None = None
        self._known = known

    def connection_lost(self, exc: Exception | None) -> None:
        """Keeps the reason."""
        self.lost = str(exc) if exc else "it was closed"

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Refuses it: this is asked only about keys that are not known."""
        self.shown = key
        self.expected = _keys_of(self._known, host, addr, port)
        return False


def _known_hosts(reach: SshReach) -> asyncssh.SSHKnownHosts:
    path = _known_hosts_path(reach)
    try:
        text = path.read_text(errors="replace") if path.exists() or reach.known_hosts else ""
        return asyncssh.import_known_hosts(text)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        msg = f"the known host keys in {str(path)!r} cannot be read: {what}; correct the file, or known_hosts in reach"
        raise TargetError(msg) from error


def _known_hosts_path(reach: SshReach) -> Path:
    return Path(reach.known_hosts or "~/.ssh/known_hosts").expanduser()


def _keys_of(known: asyncssh.SSHKnownHosts, host: str, addr: str, port: int) -> list[asyncssh.SSHKey]:
    return list(known.match(host, addr, None if port == _SSH_PORT else port)[0])


def _identity(reach: SshReach) -> dict[str, object]:
    """The user and the keys to log in with: those named and no others, or those of ``~/.ssh`` and of an agent.

    Servers hang up after a few keys that they do not know; an agent with many must not crowd out the one that is named.
    """
    identity: dict[str, object] = {"username": reach.user} if reach.user else {}
    if not reach.identity_files:
        return identity
    keys = []
    for name in reach.identity_files:
        try:
            keys.append(asyncssh.read_private_key(Path(name).expanduser()))
        except OSError as error:
            msg = f"the key {name!r} cannot be read: {error.strerror}; correct identity_files in reach"
            raise TargetError(msg) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            locked = "passphrase" in str(error).lower()
            remedy = "ssh-add it to an agent, and leave it out of identity_files" if locked else "is it a private key?"
            raise TargetError(f"the key {name!r} cannot be used: {error}; {remedy}") from error
    return {**identity, "client_keys": keys, "agent_path": None}


def _host_key_words(reach: SshReach, client: Client, problem: str) -> str:
    if client.shown is None:
        return f"the host key of {where(reach)} is refused: {problem}; see {str(_known_hosts_path(reach))!r}"
    return _unknown_key_words(reach, client.shown, client.expected)


def _unknown_key_words(reach: SshReach, shown: asyncssh.SSHKey, expected: list[asyncssh.SSHKey]) -> str:
    """What the host showed, what was expected, and the lines that make it known once it has been compared."""
    path = _known_hosts_path(reach)
    file = shlex.quote(str(path))
    port = f"-p {reach.port} " if reach.port != _SSH_PORT else ""
    scan = f"ssh-keyscan {port}{shlex.quote(reach.host)} >> {file}"
    key = f"{shown.get_algorithm()} {shown.get_fingerprint()}"
    if not expected:
        return (
            f"the host key of {where(reach)} is not known: it shows {key}, and {str(path)!r} has none for it; compare "
            f"the fingerprint with what the board itself prints (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub), "
            f"then: {scan}"
        )
    name = reach.host if reach.port == _SSH_PORT else f"[{reach.host}]:{reach.port}"
    known = ", ".join(f"{key.get_algorithm()} {key.get_fingerprint()}" for key in expected)
    return (
        f"the host key of {where(reach)} has CHANGED: it shows {key}, but {str(path)!r} has {known}; someone may be in "
        f"between. If the board was set up anew, compare the fingerprint with what the board itself prints, then: "
        f"ssh-keygen -R {shlex.quote(name)} -f {file} && {scan}"
    )


async def _no_common_key(
    reach: SshReach, known: asyncssh.SSHKnownHosts, error: Exception
) -> TargetError | ConnectionError:
    """What it means that no key was agreed on: a host is asked only for the kinds of keys that are known of it.

    One that has none of them has changed; servers hang up then, as they do for other reasons.
    """
    expected = _keys_of(known, reach.host, "", reach.port)
    try:
        async with asyncio.timeout(reach.connect_timeout_s):
            shown = await asyncssh.get_server_host_key(reach.host, reach.port, config=None)
    except (OSError, asyncssh.Error):
        shown = None
    if shown is not None and expected and shown not in expected:
        return TargetError(_unknown_key_words(reach, shown, expected))
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return TargetError(f"{where(reach)} and this SSH client have no method in common: {error}; update the older")
    return ConnectionError(_unreachable_words(reach, error))


def _unreachable_words(reach: SshReach, error: Exception) -> str:
    what = (error.strerror if isinstance(error, OSError) else None) or error
    return f"cannot reach {where(reach)}: {what}; is it on, and is the address right?"


def _refusal_words(reach: SshReach) -> str:
    tried = ", ".join(map(repr, reach.identity_files)) or "those of ~/.ssh, and an agent's if one runs"
    login = shlex.quote(f"{reach.user}@{reach.host}" if reach.user else reach.host)
    return (
        f"{where(reach)} refuses to log us in with a key (tried: {tried}); put the public "
        f"key there: ssh-copy-id {'' if reach.port == _SSH_PORT else f'-p {reach.port} '}{login}; or correct user and "
        "identity_files in reach"
    )
