"""ES256 and COSE_Sign1 (ST2)."""

from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .cbor import decode_cbor, encode_cbor
from .refusal import Refusal, demand
from .shapes import any_octets, exactly, tuple_of

STATEMENT_BYTES = 8192
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

def public_key(key):
    """The P-256 key of 64 bytes, or None when they are no point of the curve."""
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    if x >= P or y >= P or (y * y - x * x * x + 3 * x - B) % P != 0:
        return None
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

def check_signature(cose, key):
    """ST2.4"""
    check_es256(key, cose.signature, encode_cbor(["Signature1", cose.protected, b"", cose.payload]))

def check_es256(key, signature, signed):
    """ST2.4, in its order."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    demand(len(signature) == 64 and 0 < r < N and s != 0, "cose-signature-malformed")
    demand(s <= (N - 1) // 2, "cose-signature-high-s")
    public = public_key(key)
    demand(public, "signature-invalid")
    try:
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Refusal("signature-invalid") from None

COSE_PARTS = tuple_of(any_octets, lambda value: type(value) is dict, any_octets, any_octets)

def open_cose(raw, most=STATEMENT_BYTES):
    """ST2.1 and ST2.2 up to alg."""
    demand(len(raw) <= most, "cbor-too-large")
    demand(raw[:1] == b"\xd2", "cose-malformed")
    parts = decode_cbor(raw[1:])
    demand(COSE_PARTS(parts), "cose-malformed")
    demand(parts[1] == {}, "cose-unprotected-not-empty")
    header = decode_cbor(parts[0])
    demand(type(header) is dict and 1 in header, "cose-header-malformed")
    demand(exactly(-7)(header[1]), "cose-algorithm-unsupported")
    return SimpleNamespace(protected=parts[0], payload=parts[2], signature=parts[3], header=header)
