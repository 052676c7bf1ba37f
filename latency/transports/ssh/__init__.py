"""Workers on another machine, over SSH. Needs asyncssh (the extra ``ssh``)."""

from __future__ import annotations

from latency.transports.ssh.link import LinkSettings
from latency.transports.ssh.transport import SshTransport

__all__ = ["LinkSettings", "SshTransport"]
