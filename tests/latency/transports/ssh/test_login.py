"""Who is not known, and whom we are not known to, is told apart, with what to do in each case."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hwprofiles import SshReach
from latency.errors import TargetError
from latency.transports import open_transport
from latency.transports.ssh import SshTransport


def refusal(reach: SshReach) -> str:
    with pytest.raises(TargetError) as caught, SshTransport(reach):
        pass
    return str(caught.value)


def fingerprint(server: Any) -> str:
    return str(asyncssh.read_public_key(server.folder / "host.pub").get_fingerprint())


def test_unknown_host_key_is_shown_with_the_line_that_makes_it_known(sshd: Any, tmp_path: Path) -> None:
    known = tmp_path / "it's known"
    known.touch()
    words = refusal(sshd.reach(known_hosts=str(known)))
    assert "is not known" in words
    assert fingerprint(sshd) in words
    line = words.rpartition("then: ")[2]
    assert line == f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {shlex.quote(str(known))}"
    subprocess.run(["/bin/sh", "-c", line], check=True, stderr=subprocess.DEVNULL)
    with SshTransport(sshd.reach(known_hosts=str(known))):
        pass


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_changed_host_key_is_an_alarm_with_both_keys(sshd: Any, tmp_path: Path, algorithm: str) -> None:
    other = asyncssh.generate_private_key(algorithm)
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sshd.port} {other.export_public_key().decode()}")
    words = refusal(sshd.reach(known_hosts=str(known)))
    assert "has CHANGED" in words
    assert fingerprint(sshd) in words
    assert other.get_fingerprint() in words
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}' -f {known}" in words


def test_revoked_host_key_is_refused(sshd: Any, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("@revoked * " + (sshd.folder / "host.pub").read_text())
    assert "Host key is revoked" in refusal(sshd.reach(known_hosts=str(known)))


def test_key_that_the_host_does_not_know(server: Any, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "stranger")
    words = refusal(server.reach(identity_files=(str(tmp_path / "stranger"),)))
    assert "refuses to log us in" in words
    assert "stranger" in words
    assert f"ssh-copy-id -p {server.port} " in words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory; correct identity_files"),
        ("nonsense", "cannot be used: .*; is it a private key"),
        ("locked", "Passphrase must be specified.*; ssh-add it to an agent"),
    ],
)
def test_identity_that_cannot_be_used(sshd: Any, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "id"
    if content == "locked":
        subprocess.run(["/bin/sh", "-c", f"ssh-keygen -q -N secret -f {shlex.quote(str(path))}"], check=True)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(TargetError, match=words), SshTransport(sshd.reach(identity_files=(str(path),))):
        pass


def test_known_hosts_that_cannot_be_read(sshd: Any, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("@nonsense host key")
    assert "cannot be read: Invalid known hosts marker" in refusal(sshd.reach(known_hosts=str(tmp_path / "known")))
    assert "cannot be read: No such file" in refusal(sshd.reach(known_hosts=str(tmp_path / "absent")))


def test_nobody_there(sshd: Any, ssh_servers: Any) -> None:
    assert "cannot reach" in refusal(sshd.reach(port=ssh_servers.free_port()))
    assert "cannot reach" in refusal(sshd.reach(host="no-such-host.invalid"))


def test_somebody_who_says_nothing(sshd: Any, ssh_servers: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        words = refusal(sshd.reach(port=mute.getsockname()[1], connect_timeout_s=0.3))
    assert "no answer from" in words
    assert "within 0.3 s" in words


def test_the_users_ssh_config_is_not_read(sshd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  ProxyCommand /bin/false\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with SshTransport(sshd.reach()):
        pass


def test_keys_and_known_hosts_of_the_user_are_the_default(
    sshd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes((sshd.folder / "id").read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    reach = sshd.reach(identity_files=(), known_hosts=None)
    assert "~" not in refusal(reach)
    (tmp_path / ".ssh" / "known_hosts").write_bytes(sshd.known_hosts.read_bytes())
    with SshTransport(reach):
        pass


def test_without_asyncssh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("latency.transports.ssh")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(TargetError, match=r"needs asyncssh.*pip install 'paretune\[ssh\]'"):
        open_transport(SshReach(host="board"))


def test_server_without_file_transfer(ssh_servers: Any, tmp_path: Path, open_ssh: Callable[..., SshTransport]) -> None:
    with (
        ssh_servers.AsyncsshServer(tmp_path, sftp=None) as server,
        pytest.raises(TargetError, match=r"has no SFTP.*Subsystem sftp"),
        open_ssh(server),
    ):
        pass


def test_address_of_the_sixth_version(sshd: Any, ssh_servers: Any) -> None:
    if not ssh_servers.has_address("::1"):
        pytest.skip("this machine has no IPv6 loopback")
    reach = sshd.reach(host="board").at(f"[::1]:{sshd.port}")
    with SshTransport(reach) as transport, pytest.raises(FileNotFoundError, match=rf"@\[::1\]:{sshd.port}"):
        transport.get(transport.path("absent"))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """A running agent; the function gives it a key. The user has no keys of their own."""
    program, adder = shutil.which("ssh-agent"), shutil.which("ssh-add")
    if program is None or adder is None:
        pytest.skip("needs OpenSSH's agent (Debian: openssh-client)")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    process = subprocess.Popen([program, "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (tmp_path / "agent").exists():
        assert time.monotonic() < until, "the agent does not listen"
        time.sleep(0.02)
    yield lambda key: subprocess.run([adder, "-q", str(key)], check=True, stderr=subprocess.DEVNULL) and None
    process.terminate()
    process.wait()


def test_keys_of_an_agent(sshd: Any, agent: Callable[[Path], None]) -> None:
    assert "refuses to log us in" in refusal(sshd.reach(identity_files=()))
    agent(sshd.folder / "id")
    with SshTransport(sshd.reach(identity_files=())):
        pass


def test_agent_with_many_keys_does_not_crowd_out_the_one_that_is_named(
    sshd: Any, agent: Callable[[Path], None], tmp_path: Path
) -> None:
    for number in range(8):  # servers hang up after six
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / f"{number}")
        (tmp_path / f"{number}").chmod(0o600)
        agent(tmp_path / f"{number}")
    with SshTransport(sshd.reach()):
        pass


def test_agent_that_is_gone_does_not_matter(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/no/such/agent")
    assert "refuses to log us in" in refusal(server.reach(identity_files=()))
