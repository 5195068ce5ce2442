from __future__ import annotations

import inspect
import re

import pytest

from peerup import errors
from peerup.errors import (
    ConfigError,
    ConnectionClosedError,
    DialError,
    LimitError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
    RemoteProtocolError,
    ServiceError,
    StreamResetError,
    UsageError,
    WrongPeerError,
)


def classes() -> list[type[PeerupError]]:
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, PeerupError)
    ]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^((?:[│ ]   )*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            drawn[found[2]] = branch[depth - 1] if depth else "PeerupError"
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in classes()}
    del real["PeerupError"]
    assert drawn == real


def test_every_error_says_what_it_is_and_ends_in_error() -> None:
    for kind in classes():
        assert kind.__name__.endswith("Error")
        assert kind.__doc__
        assert 1 <= kind.exit_code <= 4


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (PeerupError, 1),
        (UsageError, 2),
        (ConfigError, 2),
        (RemoteProtocolError, 3),
        (LimitError, 3),
        (WrongPeerError, 3),
        (ConnectionClosedError, 3),
        (StreamResetError, 3),
        (DialError, 3),
        (RelayRefusedError, 3),
        (ServiceError, 3),
        (NotAuthorizedError, 4),
    ],
)
def test_exit_codes_are_those_of_the_manual(kind: type[PeerupError], code: int) -> None:
    assert kind.exit_code == code


def test_code_that_knows_only_the_system_s_errors_still_works() -> None:
    with pytest.raises(ConnectionError):
        raise ConnectionClosedError
    with pytest.raises(ConnectionResetError):
        raise StreamResetError(by_peer=True)


def test_an_instance_may_carry_a_better_hint_than_its_class() -> None:
    assert PeerupError("no").hint == ""
    assert PeerupError("no", hint="try that").hint == "try that"
    assert "auth add" in NotAuthorizedError("no").hint
    assert NotAuthorizedError("no", hint="try that").hint == "try that"
    assert "auth add" in NotAuthorizedError("no").hint


def test_a_reset_says_who_and_why() -> None:
    theirs, ours = StreamResetError(0x1002, by_peer=True), StreamResetError(by_peer=False)
    assert str(theirs) == "stream reset by the peer, code 0x1002"
    assert str(ours) == "stream reset by us, code 0x0"
    assert (theirs.code, theirs.by_peer, ours.code, ours.by_peer) == (0x1002, True, 0, False)


def test_a_closed_connection_has_a_code() -> None:
    assert (str(ConnectionClosedError()), ConnectionClosedError().code) == (
        "the connection is closed",
        0,
    )
    assert ConnectionClosedError("gone", code=7).code == 7


def test_a_wrong_peer_is_named_beside_the_expected_one() -> None:
    error = WrongPeerError("alice", "mallory")
    assert (error.expected, error.actual) == ("alice", "mallory")
    assert "alice" in str(error)
    assert "mallory" in str(error)


def test_a_failed_dial_says_how_each_address_ended() -> None:
    causes = {"/ip4/192.0.2.1/tcp/1": OSError("refused"), "/ip4/192.0.2.2/tcp/1": TimeoutError("?")}
    error = DialError("home", causes)
    assert str(error) == (
        "cannot reach home (/ip4/192.0.2.1/tcp/1: refused; /ip4/192.0.2.2/tcp/1: ?)"
    )
    assert error.peer == "home"
    assert error.causes == causes
    assert str(DialError("home", {})) == "cannot reach home (no addresses known)"


def test_a_failed_dial_hands_on_the_hint_of_its_cause() -> None:
    plain = DialError("home", {"a": OSError("refused")})
    assert "relay" in plain.hint
    refused = DialError("home", {"a": OSError("refused"), "b": NotAuthorizedError("no")})
    assert refused.hint == NotAuthorizedError.hint


def test_a_relay_s_refusal_has_a_status() -> None:
    error = RelayRefusedError("full", status=201, hint="later")
    assert (str(error), error.status, error.hint) == ("full", 201, "later")
