"""``ssh -L``: what people use today. A private sshd on 127.0.0.1, with keys of its own."""

from __future__ import annotations

from typing import Final

import stage

from bench.contest import Missing

DEFAULT: Final = "ssh -L"  # its own choice of cipher: chacha20-poly1305 since OpenSSH 6.9
AES: Final = "ssh -L, aes128-gcm"
OPTIONS: Final = {DEFAULT: [], AES: ["-c", "aes128-gcm@openssh.com"]}


def start(where: stage.Stage, target: int) -> dict[str, int | Missing]:
    """Forward a port to ``target`` with each cipher, until the stage is cleared."""
    if reason := stage.why_no_ssh():
        return dict.fromkeys(OPTIONS, Missing(reason))
    server = stage.start_ssh_server(where)
    return {name: _forward(where, server, target, name) for name in OPTIONS}


def _forward(where: stage.Stage, server: stage.SshServer, target: int, name: str) -> int:
    port = stage.free_port()
    command = ["ssh", "-F", str(server.client_config), "-p", str(server.port), "-N"]
    command += OPTIONS[name]
    command += ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:{target}"]
    client = where.start(name, [*command, "home"], cwd=where.directory, ends_with=(0, 255))
    stage.wait_for_port(client, port)
    return port
