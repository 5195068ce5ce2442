"""Cells with go: pairing through a relay of go's, and with go at the other end of the exchange.

The foreign peer is a libp2p host and no peerup, so what Go peerup says in the exchange is played
here, byte for byte, on streams that go opens and accepts.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interop.cells import Lab, Role, Transport, over, roles
from interop.foreign import circuit_addr
from interop.go_peer import RelayService
from peerup.config import authorized_keys
from peerup.config.identity import create_identity
from peerup.config.load import load_config
from peerup.config.template import node_template
from peerup.errors import DialError
from peerup.node.pairing import Inviting, Paired, join
from peerup.wire.invite import TOKEN_SIZE, V1, V2, Invite, decode, encode
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.pairing import Inviter, Joiner, Step
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from interop.conftest import Run
    from interop.foreign import ForeignStream
    from peerup.config.schema import Config

pytestmark = over(Transport.TCP)  # codes hold TCP addresses alone

INVITE = "/peerup/invite/1.0.0"


def machine(folder: Path, name: str, relay: str) -> Config:
    """The configuration of a machine that has been set up."""
    place = folder / name
    place.mkdir(mode=0o700)
    relays = [Multiaddr.parse(relay)]
    text = node_template(generated_by="a test", listen=(), relays=relays)
    create_identity(place / "identity.key")
    authorized_keys.create(place / "authorized_keys")
    path = place / "config.yaml"
    path.touch(0o600)
    path.write_text(text)
    return load_config(path)


def names(config: Config) -> dict[str, str]:
    return {name: str(peer) for name, peer in load_config(config.path).names.items()}


def listed(config: Config) -> set[str]:
    assert config.security.authorized_keys_file is not None
    return {str(entry.peer) for entry in authorized_keys.load(config.security.authorized_keys_file)}


async def talk(stream: ForeignStream, side: Joiner | Inviter) -> None:
    """Move bytes between a stream of go's and one side of the exchange, until that is over."""
    while True:
        if isinstance(side, Inviter) and side.step is Step.PROVEN:
            side.accept("home")
        if data := side.data_to_send():
            await stream.write(data)
        if isinstance(side, Joiner) and side.inviter_name is not None:
            return
        if isinstance(side, Inviter) and side.step is Step.OVER:
            return
        side.receive(await stream.read())


@roles(Role.THEIR_RELAY)
def test_pairing_through_a_relay_of_go(lab: Lab, run: Run, role: Role, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab.go(relay=RelayService()) as relay:
            home = machine(tmp_path, "home", relay.addr)
            laptop = machine(tmp_path, "laptop", relay.addr)
            async with Inviting(home, name="home", ttl=60) as inviting:
                assert not inviting.vouched  # go does not know how
                paired = await join(laptop, decode(inviting.code), name="laptop")
                assert (await inviting.joined()).name == "laptop"
            assert names(laptop) == {"home": str(paired.peer)}
            assert listed(home) == set(names(home).values())

    run(scenario())


@roles(Role.THEIR_RELAY)
def test_a_relay_of_go_that_does_not_know_the_joiner(
    lab: Lab, run: Run, role: Role, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with lab.go(relay=RelayService(allow_connect=())) as relay:
            home = machine(tmp_path, "home", relay.addr)
            laptop = machine(tmp_path, "laptop", relay.addr)
            async with Inviting(home, name="home", ttl=60) as inviting:
                with pytest.raises(DialError, match="PERMISSION_DENIED") as caught:
                    await join(laptop, decode(inviting.code), name="laptop")
            assert "peerup relay authorize 12D3KooW" in caught.value.hint
            assert listed(laptop) == set()

    run(scenario())


@roles(Role.THEY_DIAL)
def test_go_joins_us(lab: Lab, run: Run, role: Role, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab.go(relay=RelayService()) as relay, lab.go(listen=[]) as go:
            home = machine(tmp_path, "home", relay.addr)
            async with Inviting(home, name="home", ttl=60) as inviting:
                invite = decode(inviting.code)
                await go.connect(circuit_addr(relay.addr, str(invite.inviter)))
                stream = await go.open_stream(str(invite.inviter), INVITE)
                side = Joiner(invite.token, "go")
                await talk(stream, side)
                assert side.inviter_name == "home"
                await stream.close()
                async with asyncio.timeout(5):
                    assert await inviting.joined() == Paired(PeerId.parse(go.peer), "go")
            assert listed(home) == {go.peer}
            assert names(home) == {"go": go.peer}

    run(scenario())


@roles(Role.WE_DIAL)
@pytest.mark.parametrize("version", [V1, V2])
def test_we_join_go(lab: Lab, run: Run, role: Role, tmp_path: Path, version: int) -> None:
    async def scenario() -> None:
        async with lab.go(relay=RelayService()) as relay, lab.go(listen=[]) as go:
            await go.reserve(relay.addr)
            await go.handle(INVITE, "manual")
            laptop = machine(tmp_path, "laptop", relay.addr)
            address, inviter = Multiaddr.parse(relay.addr), PeerId.parse(go.peer)
            invite = Invite(bytes(TOKEN_SIZE), address, inviter, version=version)
            side = Inviter(invite.token, version=version)
            async with asyncio.TaskGroup() as group:
                joining = group.create_task(join(laptop, decode(encode(invite)), name="laptop"))
                stream = await go.accept_stream()
                await talk(stream, side)
                await stream.close()
            assert joining.result() == Paired(inviter, "home")
            assert side.joiner_name == "laptop"
            assert listed(laptop) == {go.peer}
            assert names(laptop) == {"home": go.peer}

    run(scenario())
