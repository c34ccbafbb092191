"""The certificates of the XML-RPC door: an authority of this home's own, the server's, and one for each user."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benito.errors import HostError
from benito.network.host import host_addresses
from benito.services.files import private_folder, write_secret

AUTHORITY_DAYS = 3650
LEAF_DAYS = 730
RENEW_DAYS = 30
EVERYWHERE = ("0.0.0.0", "::")
BACKDATED = datetime.timedelta(hours=1)
"""Clocks differ."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The home's own certificate authority."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients trust; it may be copied to them."""
        return self.folder / "ca.pem"

    @property
    def server(self) -> Path:
        """The server's key and certificate."""
        return self.folder / "server.pem"

    def user(self, name: str) -> Path:
        """A user's key and certificate: their `~/.ssl/emulab.pem`."""
        return self.folder / "users" / f"{name.lower()}.pem"

    def ensure(self, names: Iterable[str]) -> None:
        """Make the authority and the server's certificate for these names, unless they are there and good."""
        private_folder(self.folder)
        if not self.certificate.exists():
            key = _new_key()
            write_secret(self.folder / "ca.key", _key_pem(key))
            write_secret(self.certificate, _pem(_certificate("Benito", key, None, [], AUTHORITY_DAYS)))
        wanted = sorted(set(names))
        if not _covers(self.server, wanted, self._certificate()):
            self._issue(self.server, wanted[0] if wanted else "localhost", wanted)

    def issue(self, name: str) -> bytes:
        """Give a user a new certificate in the place of the old one; returns it as DER."""
        return self._issue(self.user(name), name, None).public_bytes(serialization.Encoding.DER)

    def _issue(self, target: Path, name: str, hosts: list[str] | None) -> x509.Certificate:
        try:
            loaded = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
            issuer = (self._certificate(), loaded)
        except (OSError, ValueError) as error:
            raise HostError(
                f"the authority in {self.folder} can't be used: {error}",
                hint="remove ca.pem and ca.key there and run `benito serve --init`, then every user a new certificate",
            ) from error
        key = _new_key()
        made = _certificate(name, key, issuer, hosts, LEAF_DAYS)
        write_secret(target, _key_pem(key) + _pem(made))
        return made

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def pages_context(self) -> ssl.SSLContext:
        """Return what the pages are encrypted with on a network; who asks is known by their token."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server)
        return context

    def context(self) -> ssl.SSLContext:
        """Return what the XML-RPC door listens with: TLS 1.2 or later, and no talk without a user's certificate."""
        context = self.pages_context()
        context.load_verify_locations(self.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def own_names(listen: str, others: Iterable[str] = ()) -> list[str]:
    """Return the names and addresses by which this server is addressed; all of the host's when it listens on all."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), *others]
    names += host_addresses() if listen in EVERYWHERE else [listen]
    return list(dict.fromkeys(name.lower() for name in names if name))


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, object] | None,
    hosts: list[str] | None,
    days: int,
) -> x509.Certificate:
    """Make a certificate: the authority's own without issuer, a server's with `hosts`, a user's with None."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer: object = key if issuer is None else issuer[1]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(_usage(authority=issuer is None), True)
    )
    if issuer is not None:
        public = issuer[0].public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False
        )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), False)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _covers(file: Path, names: Iterable[str], authority: x509.Certificate) -> bool:
    """Whether the server's certificate is ours, has all these names and is good for some time to come."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found.verify_directly_issued_by(authority)
    except Exception:
        # Whatever is the matter with it, a new one is the cure.
        return False
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS)
    return found.not_valid_after_utc > soon and all(_general(name) in held for name in names)
