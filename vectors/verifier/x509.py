"""Certificates, chains and revocation lists (AT2 to AT4)."""

import re
from calendar import timegm
from datetime import datetime
from hashlib import sha256
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .der import (
    BOOLEAN, GENERALIZED_TIME, INTEGER, NULL, OCTETS, OID, SEQUENCE, UTC_TIME, DerReader, encode_der, oid, open_der,
)
from .refusal import Refusal, demand

HASHES = {"SHA-256": hashes.SHA256, "SHA-384": hashes.SHA384, "SHA-512": hashes.SHA512}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
WIDTHS = {"P-256": 32, "P-384": 48, "P-521": 66}
MAX_CERTIFICATE_BYTES, MAX_LIST_BYTES = 8192, 262_144
KEY_USAGE, BASIC_CONSTRAINTS, COMMON_NAME = oid("2.5.29.15"), oid("2.5.29.19"), oid("2.5.4.3")

def algorithms():
    """AT2.3: the schemes by the whole DER of their AlgorithmIdentifier."""
    found = {}
    for place, (name, digest, salt) in enumerate((("SHA-256", 1, 32), ("SHA-384", 2, 48), ("SHA-512", 3, 64))):
        plain = encode_der(SEQUENCE, encode_der(OID, oid(f"2.16.840.1.101.3.4.2.{digest}")), encode_der(NULL))
        mask = encode_der(SEQUENCE, encode_der(OID, oid("1.2.840.113549.1.1.8")), plain)
        length = encode_der(INTEGER, bytes([salt]))
        pss = [encode_der(0xA0, plain), encode_der(0xA1, mask), encode_der(0xA2, length)]
        trailer = encode_der(0xA3, encode_der(INTEGER, b"\1"))
        ecdsa = encode_der(OID, oid(f"1.2.840.10045.4.3.{2 + place}"))
        pkcs1 = encode_der(OID, oid(f"1.2.840.113549.1.1.{11 + place}"))
        pss_id = encode_der(OID, oid("1.2.840.113549.1.1.10"))
        found[encode_der(SEQUENCE, ecdsa)] = ("ECDSA", name)
        found[encode_der(SEQUENCE, pkcs1, encode_der(NULL))] = ("PKCS1", name)
        for parameters in (pss, [*pss, trailer]):
            found[encode_der(SEQUENCE, pss_id, encode_der(SEQUENCE, *parameters))] = ("PSS", name)
    return found

ALGORITHMS = algorithms()
EC_KEYS = {
    encode_der(SEQUENCE, encode_der(OID, oid("1.2.840.10045.2.1")), encode_der(OID, oid(curve))): name
    for name, curve in (("P-256", "1.2.840.10045.3.1.7"), ("P-384", "1.3.132.0.34"), ("P-521", "1.3.132.0.35"))
}
RSA_KEY = encode_der(SEQUENCE, encode_der(OID, oid("1.2.840.113549.1.1.1")), encode_der(NULL))

def parse_key(encoded):
    """AT2.5: ("EC", curve, point) or ("RSA", modulus)."""
    fields = open_der(encoded, "certificate-malformed")
    algorithm, _ = fields.whole(SEQUENCE)
    bits = fields.bits()
    fields.end()
    if algorithm == RSA_KEY:
        numbers = open_der(bits, "certificate-key")
        modulus, exponent = numbers.magnitude(), numbers.number()
        numbers.end()
        demand(256 <= len(modulus) <= 1024 and exponent == 65_537, "certificate-key")
        return "RSA", int.from_bytes(modulus, "big")
    demand(algorithm in EC_KEYS, "certificate-key")
    curve = EC_KEYS[algorithm]
    demand(len(bits) == 1 + 2 * WIDTHS[curve] and bits[0] == 4, "certificate-key")
    return "EC", curve, bits

def verify_raw(key, scheme, signature, message):
    """Whether the key made the signature; ECDSA signatures are r and s of full width."""
    kind, hash_name = scheme
    digest = HASHES[hash_name]()
    try:
        if key[0] == "EC":
            width = WIDTHS[key[1]]
            if kind != "ECDSA" or len(signature) != 2 * width:
                return False
            r, s = (int.from_bytes(half, "big") for half in (signature[:width], signature[width:]))
            public = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[key[1]](), key[2])
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
            return True
        if kind == "ECDSA":
            return False
        salted = padding.PSS(padding.MGF1(HASHES[hash_name]()), digest.digest_size)
        public = rsa.RSAPublicNumbers(65_537, key[1]).public_key()
        public.verify(signature, message, salted if kind == "PSS" else padding.PKCS1v15(), digest)
        return True
    except (InvalidSignature, ValueError):
        return False

def verify_signed(signed, key):
    """AT2.6, AT3.4: whether the key made the signature beside a certificate or list."""
    raw = signed.signature
    if key[0] == "EC":
        try:
            numbers = open_der(raw, "chain-signature-invalid")
            halves = [numbers.magnitude(), numbers.magnitude()]
            numbers.end()
        except Refusal:
            return False
        width = WIDTHS[key[1]]
        if any(len(half) > width for half in halves):
            return False
        raw = b"".join(half.rjust(width, b"\0") for half in halves)
    return verify_raw(key, signed.scheme, raw, signed.tbs)

def open_signed(encoded, limit, code):
    """The signed part, its reader, and a way to close both against each other (AT2.3)."""
    demand(len(encoded) <= limit, code)
    fields = open_der(encoded, code)
    tbs, content = fields.whole(SEQUENCE)
    outer, _ = fields.whole(SEQUENCE)
    signature = fields.bits()
    fields.end()
    inside = DerReader(content, code)

    def close(inner):
        inside.end()
        demand(inner == outer, code)
        demand(outer in ALGORITHMS, "certificate-algorithm")
        return SimpleNamespace(tbs=tbs, scheme=ALGORITHMS[outer], signature=signature)

    return inside, close

def take_time(fields, code):
    """AT2.2: seconds since 1970."""
    is_utc = fields.peek() == UTC_TIME
    content = fields.take(UTC_TIME if is_utc else GENERALIZED_TIME)
    demand(re.fullmatch(rb"[0-9]{12}Z" if is_utc else rb"[0-9]{14}Z", content), code)
    digits = content[:-1].decode()
    if is_utc:
        digits = ("20" if digits < "50" else "19") + digits
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))]
    try:
        return timegm(datetime(*parts).timetuple())
    except ValueError:
        raise Refusal(code) from None

def take_extensions(fields, code):
    """AT2.4: {identifier: (critical, value)}"""
    listed, found = fields.open(SEQUENCE), {}
    while listed.peek() is not None:
        entry = listed.open(SEQUENCE)
        identifier = entry.take(OID)
        critical = entry.peek() == BOOLEAN
        if critical:
            entry.true()
        value = entry.take(OCTETS)
        entry.end()
        demand(identifier not in found, code)
        found[identifier] = critical, value
    demand(1 <= len(found) <= 32, code)
    return found

def parse_constraints(extensions):
    """The path length of an authority; None for others."""
    if BASIC_CONSTRAINTS not in extensions:
        return None
    fields = open_der(extensions[BASIC_CONSTRAINTS][1], "certificate-malformed")
    if fields.peek() is None:
        return None
    fields.true()
    length = 1 << 53
    if fields.peek() is not None:
        length = fields.number()
    fields.end()
    return length

def parse_usage(extensions):
    """The first byte of keyUsage; None without it."""
    if KEY_USAGE not in extensions:
        return None
    outer = DerReader(extensions[KEY_USAGE][1], "certificate-malformed")
    content = outer.take(3)
    outer.end()
    demand(2 <= len(content) <= 3 and content[0] < 8, "certificate-malformed")
    return content[1]

def parse_certificate(encoded):
    fields, close = open_signed(encoded, MAX_CERTIFICATE_BYTES, "certificate-malformed")
    version = fields.open(0xA0)
    demand(version.number() == 2, "certificate-malformed")
    version.end()
    serial = fields.magnitude()
    demand(len(serial) <= 20, "certificate-malformed")
    inner, _ = fields.whole(SEQUENCE)
    issuer, _ = fields.whole(SEQUENCE)
    dates = fields.open(SEQUENCE)
    not_before, not_after = take_time(dates, "certificate-malformed"), take_time(dates, "certificate-malformed")
    dates.end()
    subject, _ = fields.whole(SEQUENCE)
    key = parse_key(fields.whole(SEQUENCE)[0])
    extensions = {}
    if fields.peek() is not None:
        wrapper = fields.open(0xA3)
        extensions = take_extensions(wrapper, "certificate-malformed")
        wrapper.end()
    return SimpleNamespace(
        digest=sha256(encoded).hexdigest(), serial=serial, issuer=issuer, subject=subject, key=key,
        not_before=not_before, not_after=not_after, extensions=extensions,
        authority=parse_constraints(extensions), usage=parse_usage(extensions), signed=close(inner),
    )

def common_name(name):
    """The only common name; None when there is none or more than one."""
    fields, found = open_der(name, "certificate-malformed"), []
    while fields.peek() is not None:
        attribute = fields.open(0x31).open(SEQUENCE)
        identifier, value = attribute.take(OID), attribute.take(attribute.peek())
        found += [value] if identifier == COMMON_NAME else []
    return found[0].decode("utf-8", "replace") if len(found) == 1 else None

def check_root(chain, roots):
    """AT3.1"""
    demand(chain[0].digest in roots, "chain-root-untrusted")

def check_issuance(chain):
    """AT3.3 to AT3.8"""
    for depth, certificate in enumerate(chain):
        for identifier, (critical, _) in certificate.extensions.items():
            known = identifier in (KEY_USAGE, BASIC_CONSTRAINTS)
            demand(known or not critical, "certificate-extension-critical")
        if depth == 0:
            continue
        issuer = chain[depth - 1]
        demand(certificate.issuer == issuer.subject, "chain-issuer-mismatch")
        demand(issuer.authority is not None, "chain-not-ca")
        demand(issuer.usage is None or issuer.usage & 4, "chain-key-usage")
        demand(issuer.authority >= len(chain) - 1 - depth, "chain-path-length")
        demand(verify_signed(certificate.signed, issuer.key), "chain-signature-invalid")

def check_signer(certificate):
    """AT3.6: of what signs evidence or statements."""
    demand(certificate.authority is None, "chain-key-usage")
    demand(certificate.usage is None or certificate.usage & 0x80, "chain-key-usage")

def check_dates(chain, as_of):
    """AT3.9; `as_of` in milliseconds."""
    for certificate in chain:
        demand(as_of >= certificate.not_before * 1000, "certificate-not-yet-valid")
        demand(as_of <= certificate.not_after * 1000, "certificate-expired")

def refuse_critical(fields):
    for critical, _ in take_extensions(fields, "crl-malformed").values():
        demand(not critical, "crl-malformed")

def parse_list(encoded):
    """AT4.1"""
    fields, close = open_signed(encoded, MAX_LIST_BYTES, "crl-malformed")
    demand(fields.number() == 1, "crl-malformed")
    inner, _ = fields.whole(SEQUENCE)
    issuer, _ = fields.whole(SEQUENCE)
    this_update, next_update = take_time(fields, "crl-malformed"), take_time(fields, "crl-malformed")
    revoked = {}
    if fields.peek() == SEQUENCE:
        entries = fields.open(SEQUENCE)
        while entries.peek() is not None:
            entry = entries.open(SEQUENCE)
            serial, at = entry.magnitude(), take_time(entry, "crl-malformed")
            if entry.peek() is not None:
                refuse_critical(entry)
            entry.end()
            demand(serial not in revoked, "crl-malformed")
            revoked[serial] = at
    wrapper = fields.open(0xA0)
    refuse_critical(wrapper)
    wrapper.end()
    return SimpleNamespace(
        issuer=issuer, this_update=this_update, next_update=next_update, revoked=revoked, signed=close(inner)
    )

def check_list(listed, issuer, as_of):
    """AT4.2, AT4.3"""
    demand(listed.issuer == issuer.subject, "crl-issuer-mismatch")
    demand(issuer.usage is None or issuer.usage & 2, "chain-key-usage")
    demand(verify_signed(listed.signed, issuer.key), "crl-signature-invalid")
    demand(as_of >= listed.this_update * 1000, "crl-not-yet-valid")
    demand(as_of <= listed.next_update * 1000, "crl-expired")

def check_not_revoked(listed, certificate, as_of):
    """AT4.2, AT4.4"""
    demand(listed.issuer == certificate.issuer, "crl-issuer-mismatch")
    revoked = listed.revoked.get(certificate.serial)
    demand(revoked is None or revoked * 1000 > as_of, "certificate-revoked")
