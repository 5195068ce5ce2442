from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384, SHA512

from peerup.errors import LimitError, RemoteProtocolError, WrongPeerError
from peerup.transport.tls_certificate import (
    MAX_CERTIFICATE,
    SIGNATURE_PREFIX,
    make_certificate,
    verify_certificate,
)
from peerup.wire.keys import PrivateKey
from peerup.wire.peer_id import PeerId
from tests.transport.certificates import (
    DAY,
    IDENTITY,
    NOW,
    OTHER,
    PEER,
    Forge,
    der,
    element,
    octets,
    rsa_key,
    verify,
)
from tests.wire.vectors import Vector, captured, name_of, vectors

IN_2021 = datetime.datetime(2021, 12, 31, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)

OF_GO = [vector for vector in vectors("tls") if "certificate_der" in vector.expect]
OF_GO_BY_NAME = {vector.name: vector for vector in OF_GO}
PUBLISHED = [
    pytest.param(item["certificate_der"], item["peer_id"], id=f"{file}-{item['name']}")
    for file in ("libp2p_specs_tls", "rust_libp2p_tls")
    for item in captured(file)["certificates"]
]
OF_MANY_ALGORITHMS = captured("rust_libp2p_tls")["algorithms"]


# --- certificates of others -----------------------------------------------------------


@pytest.mark.parametrize("vector", OF_GO, ids=name_of)
def test_certificates_of_go_are_judged_as_go_does(vector: Vector) -> None:
    certificate = bytes.fromhex(vector.expect["certificate_der"])
    if vector.expect.get("accept", True):
        assert str(verify(certificate)) == vector.expect["peer_id"]
    else:
        with pytest.raises(RemoteProtocolError, match="TLS certificate"):
            verify(certificate)


@pytest.mark.parametrize("file", ["go_libp2p_0_32", "js_libp2p_3_3"])
def test_certificates_of_live_peers_name_them(file: str) -> None:
    capture = captured(file)
    verified = verify_certificate([bytes.fromhex(capture["tls_cert_der"])], now=NOW)
    assert str(verified.peer) == capture["peer_id"]
    assert verified.public_key.to_protobuf().hex() == capture["public_key_pb"]


@pytest.mark.parametrize(("certificate", "peer"), PUBLISHED)
def test_published_certificates_are_judged_as_published(certificate: str, peer: str | None) -> None:
    if peer is not None:
        assert str(verify(bytes.fromhex(certificate))) == peer
    else:
        with pytest.raises(RemoteProtocolError, match=r"wrong \w+ signature"):
            verify(bytes.fromhex(certificate))


@pytest.mark.parametrize("item", OF_MANY_ALGORITHMS, ids=lambda item: item["name"])
def test_certificates_of_many_algorithms_fail_at_their_wrong_identity_alone(
    item: dict[str, str],
) -> None:
    why = "key that we do not take" if item["name"] == "ed448" else "wrong ED25519 signature"
    with pytest.raises(RemoteProtocolError, match=why):
        verify(bytes.fromhex(item["certificate_der"]), IN_2021)


# --- our own --------------------------------------------------------------------------


def test_our_certificate_has_all_that_one_of_go_has() -> None:
    go = x509.load_der_x509_certificate(
        bytes.fromhex(OF_GO_BY_NAME["certificate_ed25519_a"].expect["certificate_der"])
    )
    ours = make_certificate(IDENTITY).certificate
    assert ours.version is go.version
    assert ours.signature_algorithm_oid == go.signature_algorithm_oid
    assert ours.issuer == ours.subject
    assert [name.oid for name in ours.subject] == [name.oid for name in go.subject]
    assert ours.not_valid_after_utc - ours.not_valid_before_utc == (
        go.not_valid_after_utc - go.not_valid_before_utc
    )
    assert [(extension.oid, extension.critical) for extension in ours.extensions] == [
        (extension.oid, extension.critical) for extension in go.extensions
    ]
    assert isinstance(ours.public_key(), ec.EllipticCurvePublicKey)
    assert abs(len(der(ours)) - len(der(go))) <= 8


def test_we_fill_the_extension_as_go_does() -> None:
    vector = OF_GO_BY_NAME["certificate_ed25519_a"]
    identity = PrivateKey.from_protobuf(bytes.fromhex(vector.inputs["identity_private_pb"]))
    signed = bytes.fromhex(vector.expect["signed_bytes"])
    assert signed.startswith(SIGNATURE_PREFIX)
    assert identity.sign(signed).hex() == vector.expect["signature"]

    ours = make_certificate(identity)
    (extension,) = ours.certificate.extensions
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    expected = Forge(own=ours.private_key, identity=identity).right_signed_key()
    assert extension.value.value == expected
    assert len(expected) == len(bytes.fromhex(vector.expect["extension_value"]))


def test_our_certificate_names_us() -> None:
    ours = make_certificate(IDENTITY, now=NOW)
    verified = verify_certificate([ours.certificate], now=NOW, expected=PEER)
    assert verified.peer == PEER
    assert verified.public_key == IDENTITY.public_key
    assert verify(der(ours.certificate)) == PEER
    assert ours.certificate.public_key() == ours.private_key.public_key()


def test_our_certificate_is_valid_from_an_hour_ago_for_a_hundred_years() -> None:
    ours = make_certificate(IDENTITY, now=NOW).certificate
    assert ours.not_valid_before_utc == NOW - datetime.timedelta(hours=1)
    assert ours.not_valid_after_utc == NOW + datetime.timedelta(days=36500)


def test_no_two_of_our_certificates_have_anything_in_common_but_the_identity() -> None:
    one, two = (make_certificate(IDENTITY, now=NOW) for _ in range(2))
    assert one.private_key.private_numbers() != two.private_key.private_numbers()
    assert one.certificate.serial_number != two.certificate.serial_number
    assert one.certificate.subject != two.certificate.subject


def test_the_certificates_own_key_never_shows() -> None:
    ours = make_certificate(IDENTITY)
    secret = ours.private_key.private_numbers().private_value
    assert str(secret) not in repr(ours)
    assert f"{secret:x}" not in repr(ours)


def test_a_time_without_zone_is_our_own_mistake() -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        make_certificate(IDENTITY, now=naive)
    with pytest.raises(ValueError, match="time zone"):
        verify_certificate([Forge().der()], now=naive)


# --- what is refused ------------------------------------------------------------------


def test_the_forge_makes_good_certificates_when_nothing_is_changed() -> None:
    assert verify(Forge().der()) == PEER
    assert verify(Forge(critical=True).der()) == PEER  # as rust does


def test_someone_else_than_we_dialled_is_named_in_the_error() -> None:
    dialled = PeerId.from_public_key(OTHER.public_key)
    with pytest.raises(WrongPeerError) as caught:
        verify_certificate([Forge().der()], now=NOW, expected=dialled)
    assert (caught.value.expected, caught.value.actual) == (str(dialled), str(PEER))


def test_who_only_claims_an_identity_is_not_called_by_its_name() -> None:
    stolen = element(0x30, octets(OTHER.public_key.to_protobuf()), octets(bytes(64)))
    with pytest.raises(RemoteProtocolError, match="wrong ED25519 signature") as caught:
        verify_certificate([Forge(signed_key=stolen).der()], now=NOW, expected=PEER)
    assert not isinstance(caught.value, WrongPeerError)


def test_a_certificate_copied_to_another_key_is_refused() -> None:
    copied = Forge().right_signed_key()
    other_key = ec.derive_private_key(54321, ec.SECP256R1())
    with pytest.raises(RemoteProtocolError, match="wrong ED25519 signature"):
        verify(Forge(own=other_key, signed_key=copied).der())


@pytest.mark.parametrize("count", [0, 2, 50])
def test_another_number_of_certificates_than_one_is_refused(count: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{count} TLS certificates, 1 is allowed"):
        verify_certificate([Forge().der()] * count, now=NOW)


def test_a_certificate_is_valid_at_its_first_and_last_second_and_not_beyond() -> None:
    certificate = Forge(start=NOW, end=NOW + DAY).der()
    assert verify(certificate, NOW) == verify(certificate, NOW + DAY) == PEER
    for moment in (NOW - SECOND, NOW + DAY + SECOND):
        with pytest.raises(RemoteProtocolError, match="valid from 2030-01-01 to 2030-01-02, while"):
            verify(certificate, moment)


def test_a_large_certificate_is_refused_unread() -> None:
    with pytest.raises(LimitError, match="8193 bytes"):
        verify(bytes(MAX_CERTIFICATE + 1))
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        verify(bytes(MAX_CERTIFICATE))
    comment = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(MAX_CERTIFICATE))
    large = Forge(extensions=((comment, False),)).certificate()
    with pytest.raises(LimitError):
        verify(large)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.53594.9.9"), b"x")
NOT_A_CA = x509.BasicConstraints(ca=False, path_length=None)


def key_usage(*, sign: bool) -> x509.KeyUsage:
    nothing = dict.fromkeys(
        ("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
    )
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=not sign,
        encipher_only=False,
        decipher_only=False,
        **nothing,
    )


@pytest.mark.parametrize(
    ("extension", "critical"),
    [(UNKNOWN, False), (NOT_A_CA, False), (NOT_A_CA, True), (key_usage(sign=True), True)],
    ids=["unknown", "basic constraints", "critical basic constraints", "critical key usage"],
)
def test_extensions_that_do_not_matter_are_ignored(
    extension: x509.ExtensionType, critical: bool
) -> None:
    assert verify(Forge(extensions=((extension, critical),)).der()) == PEER


@pytest.mark.parametrize(
    "extension",
    [UNKNOWN, key_usage(sign=False), x509.SubjectAlternativeName([x509.DNSName("example.org")])],
    ids=["unknown", "may not sign", "for one name"],
)
def test_critical_extensions_that_we_do_not_know_are_refused(extension: x509.ExtensionType) -> None:
    with pytest.raises(RemoteProtocolError, match="critical extension"):
        verify(Forge(extensions=((extension, True),)).der())


def test_a_certificate_without_the_extension_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="without libp2p's extension"):
        verify(Forge(without=True).der())


def test_a_certificate_signed_by_someone_else_is_refused() -> None:
    signer = ec.derive_private_key(54321, ec.SECP256R1())
    with pytest.raises(RemoteProtocolError, match="not signed by itself"):
        verify(Forge(signer=signer).der())
    with pytest.raises(RemoteProtocolError, match="not signed by itself"):
        verify(Forge(issuer=x509.Name([])).der())


@pytest.mark.parametrize(
    "forge",
    [
        Forge(hash=SHA384),
        Forge(own=ec.derive_private_key(9, ec.SECP384R1()), hash=SHA384),
        Forge(own=ec.derive_private_key(9, ec.SECP521R1()), hash=SHA512),
        Forge(own=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)), hash=None),
    ],
    ids=["P-256 with SHA-384", "P-384", "P-521", "Ed25519"],
)
def test_other_keys_and_hashes_that_are_good_are_taken(forge: Forge) -> None:
    assert verify(forge.der()) == PEER


def test_rsa_keys_are_taken_with_either_padding() -> None:
    pss = padding.PSS(padding.MGF1(SHA256()), 32)
    assert verify(Forge(own=rsa_key()).der()) == PEER
    assert verify(Forge(own=rsa_key(), rsa_padding=pss).der()) == PEER


@pytest.mark.parametrize(
    "own",
    [
        ec.derive_private_key(9, ec.SECP256K1()),
        ec.derive_private_key(9, ec.SECP224R1()),
        ed448.Ed448PrivateKey.from_private_bytes(bytes(57)),
    ],
    ids=["secp256k1", "P-224", "Ed448"],
)
def test_keys_that_nobody_uses_for_tls_are_refused(own: Any) -> None:
    hashing = None if isinstance(own, ed448.Ed448PrivateKey) else SHA256
    with pytest.raises(RemoteProtocolError, match="key that we do not take"):
        verify(Forge(own=own, hash=hashing).der())


def test_dsa_and_short_rsa_keys_are_refused() -> None:
    for own in (dsa.generate_private_key(1024), rsa_key(1024)):
        with pytest.raises(RemoteProtocolError, match="key that we do not take"):
            verify(Forge(own=own).der())


@pytest.mark.parametrize(
    ("bits", "e", "why"),
    [
        (8192, 65537, "not signed by itself"),  # good, but for the signature
        (8193, 65537, "key that we do not take"),
        (16384, 65537, "key that we do not take"),
        (2047, 65537, "key that we do not take"),
        (2048, (1 << 31) + 1, "key that we do not take"),
    ],
)
def test_rsa_keys_out_of_bounds_are_refused_before_any_signature(
    bits: int, e: int, why: str
) -> None:
    class Holder:
        def public_key(self) -> rsa.RSAPublicKey:
            return rsa.RSAPublicNumbers(e, (1 << (bits - 1)) + 1).public_key()

    certificate = Forge(own=Holder(), signer=rsa_key()).der()
    with pytest.raises(RemoteProtocolError, match=why):
        verify(certificate)


def test_weak_hashes_are_refused_inside_pss_as_well() -> None:
    pss = padding.PSS(padding.MGF1(SHA224()), 28)
    with pytest.raises(RemoteProtocolError, match="signature algorithm"):
        verify(Forge(own=rsa_key(), hash=SHA224, rsa_padding=pss).der())
