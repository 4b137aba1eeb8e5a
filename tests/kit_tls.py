"""Certificates for the tests of TLS, with any name and any dates, and a server's context for each.

trustme is enough where a certificate only has to be good. One that ends in 2051, has no authority above it, or goes to
MinIO as files, is made here with `cryptography`, which trustme brings along.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import pathlib
import ssl
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the last cryptography for Python 3.8 says at import that it is the last
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

DAY = 24 * 60 * 60.0  # seconds
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - cryptography takes UTC without a zone
LOOPBACK = ("localhost", "127.0.0.1")


class Certified:
    """A certificate with its key. It vouches for itself unless an `issuer` does."""

    def __init__(
        self,
        begins: float,
        ends: float,
        *,
        names: tuple[str, ...] = LOOPBACK,
        issuer: Certified | None = None,
        is_authority: bool = False,
    ) -> None:
        self.issuer = issuer
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("authority" if is_authority else "server")
        above = self if issuer is None else issuer
        builder = x509.CertificateBuilder(above.name, self.name, self.key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(date(begins)).not_valid_after(date(ends))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        builder = builder.add_extension(_usage(is_authority), critical=True)  # Python 3.13 wants it of an authority
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key()), critical=False
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
        )
        if not is_authority:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        self.certificate = builder.sign(above.key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Put certificate, key and whoever vouches for it where MinIO looks for them; the folder again."""
        (folder / "CAs").mkdir(parents=True, exist_ok=True)
        secret = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "public.crt").write_bytes(self.pem)
        (folder / "private.key").write_bytes(secret)
        (folder / "CAs" / "authority.crt").write_bytes((self.issuer or self).pem)
        return folder

    def context(self, folder: pathlib.Path) -> ssl.SSLContext:
        """A server's context that shows this certificate; its files go to `folder`."""
        self.write(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(folder / "public.crt"), str(folder / "private.key"))
        return context


def date(seconds: float) -> dt.datetime:
    """Seconds since 1970 as cryptography takes them."""
    return EPOCH + dt.timedelta(seconds=seconds)


def authority(now: float) -> Certified:
    """An authority that was valid long ago and will be: only what it issues may have the wrong dates."""
    return Certified(now - 10_000 * DAY, now + 10_000 * DAY, is_authority=True)


def _name(common: str) -> x509.Name:
    """A name of more than 127 bytes: its length, and all before the dates, then takes more than one byte to say."""
    texts = {
        x509.NameOID.COMMON_NAME: common,
        x509.NameOID.ORGANIZATION_NAME: "o" * 64,
        x509.NameOID.ORGANIZATIONAL_UNIT_NAME: "u" * 64,
    }
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in texts.items()])


def _usage(is_authority: bool) -> x509.KeyUsage:
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    uses += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    allowed = ("key_cert_sign", "crl_sign") if is_authority else ("digital_signature",)
    return x509.KeyUsage(**{use: use in allowed for use in uses})


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
