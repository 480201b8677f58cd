"""TPM 2.0 quotes and measured logs (AT15.1 to AT15.5, AT15.8). Boot logs and endorsements are not judged here."""

import re
from hashlib import sha256, sha384
from types import SimpleNamespace

from .cbor import decode_cbor
from .refusal import Refusal, demand
from .shapes import array, exactly, octets, record, text, tuple_of, uint
from .x509 import verify_raw

HASHES = {0x0B: ("SHA-256", sha256), 0x0C: ("SHA-384", sha384)}
CURVES = {3: ("P-256", 32), 4: ("P-384", 48)}
RSASSA, ECDSA, NONE = 0x14, 0x18, 0x10
WANTED, DECRYPT = 0x2 | 0x10 | 0x20 | 0x10000 | 0x40000, 0x20000
PART = octets(1, 1024)
EVIDENCE = record({1: exactly(1), 2: PART, 3: PART, 4: PART, 5: array(octets(32, 32), 1, 24)})
EVENT = tuple_of(text(3, 63), octets(32, 32))
EVENT_NAME = re.compile(r"[a-z0-9.-]{1,31}/[a-z0-9.-]{1,31}")
LOG = tuple_of(lambda value: uint(value) and 8 <= value <= 15, array(EVENT, 1, 64))

class TpmReader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        start, self.position = self.position, self.position + size
        demand(self.position <= len(self.data), "tpm-malformed")
        return self.data[start : self.position]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def sized(self, most):
        size = self.number(2)
        demand(size <= most, "tpm-malformed")
        return self.take(size)

    def end(self):
        demand(self.position == len(self.data), "tpm-malformed")

def read_map(data, most, shape):
    try:
        value = decode_cbor(data, most)
    except Refusal:
        raise Refusal("tpm-malformed") from None
    demand(shape(value), "tpm-malformed")
    return value

def read_selection(reader):
    """AT15.2: the hash of one bank, and its PCRs."""
    count = reader.number(4)
    demand(count <= 4, "tpm-malformed")
    found = []
    for _ in range(count):
        bank, size = reader.number(2), reader.number(1)
        demand(size <= 3, "tpm-malformed")
        bitmap = int.from_bytes(reader.take(size), "little")
        found.append((bank, [pcr for pcr in range(24) if bitmap >> pcr & 1]))
    return found

def parse_attest(data):
    """AT15.2"""
    reader = TpmReader(data)
    demand(reader.number(4) == 0xFF544347 and reader.number(2) == 0x8018, "tpm-malformed")
    reader.sized(66)
    reader.sized(66)
    reader.take(16)
    demand(reader.number(1) <= 1, "tpm-malformed")
    reader.take(8)
    selections = read_selection(reader)
    digest = reader.sized(64)
    reader.end()
    demand(len({bank for bank, _ in selections}) == len(selections), "tpm-malformed")
    return selections, digest

def parse_public(data):
    """AT15.2: the key, its attributes, and the hash of its scheme."""
    reader = TpmReader(data)
    kind, _, attributes = reader.number(2), reader.number(2), reader.number(4)
    reader.sized(64)
    symmetric = reader.number(2)
    if symmetric != NONE:
        bits, mode = reader.number(2), reader.number(2)
        demand(symmetric == 6 and mode == 0x43 and bits, "tpm-malformed")
    scheme, scheme_hash = reader.number(2), 0
    if scheme != NONE:
        demand(scheme in (RSASSA, ECDSA), "tpm-malformed")
        scheme_hash = reader.number(2)
    if kind == 1:
        bits, exponent, modulus = reader.number(2), reader.number(4), reader.sized(512)
        demand(exponent in (0, 65_537) and bits >= 2048 and len(modulus) * 8 == bits, "tpm-malformed")
        demand(modulus[0] & 0x80, "tpm-malformed")
        key = "RSA", int.from_bytes(modulus, "big")
    else:
        curve, width = CURVES.get(reader.number(2), (None, None))
        kdf, x, y = reader.number(2), reader.sized(64), reader.sized(64)
        demand(kind == 0x23 and kdf == NONE and len(x) == len(y) == width, "tpm-malformed")
        key = "EC", curve, b"\4" + x + y
    reader.end()
    return SimpleNamespace(key=key, attributes=attributes, hash=scheme_hash)

def parse_signature(data, width):
    """AT15.2: kind, hash, and the signature as it is verified."""
    reader = TpmReader(data)
    scheme, hash_number = reader.number(2), reader.number(2)
    if scheme == ECDSA:
        parts = [reader.sized(width).rjust(width, b"\0") for _ in range(2)]
        demand(all(any(part) for part in parts), "tpm-malformed")
        found = "ECDSA", hash_number, b"".join(parts)
    else:
        demand(scheme == RSASSA, "tpm-malformed")
        found = "PKCS1", hash_number, reader.sized(512)
    reader.end()
    return found

def parse_quote(data):
    """AT15.1"""
    evidence = read_map(data, 8192, EVIDENCE)
    selections, digest = parse_attest(evidence[2])
    ak = parse_public(evidence[4])
    width = dict(CURVES.values())[ak.key[1]] if ak.key[0] == "EC" else 0
    signature = parse_signature(evidence[3], width)
    demand(len(selections) == 1 and selections[0][0] == 0x0B, "tpm-malformed")
    numbers = selections[0][1]
    demand(len(numbers) == len(evidence[5]), "tpm-malformed")
    pcrs = dict(zip(numbers, evidence[5]))
    return SimpleNamespace(attest=evidence[2], digest=digest, ak=ak, signature=signature, pcrs=pcrs)

def parse_measured_log(data):
    """AT15.8"""
    try:
        value = decode_cbor(data, 16_384)
    except Refusal:
        raise Refusal("event-log-malformed") from None
    demand(LOG(value), "event-log-malformed")
    names = [name for name, _ in value[1]]
    demand(all(map(EVENT_NAME.fullmatch, names)), "event-log-malformed")
    demand(len(set(names)) == len(names), "event-log-malformed")
    return value

def replay(events):
    register = bytes(32)
    for name, digest in events:
        event = sha256(b"countersign/measure/v1\0" + name.encode() + b"\0" + digest).digest()
        register = sha256(register + event).digest()
    return register

def judge_quote(quote, log):
    """AT15.4, AT15.8"""
    kind, hash_number, signature = quote.signature
    demand(hash_number in HASHES and quote.ak.hash == hash_number, "tpm-key")
    name, digest = HASHES[hash_number]
    demand(verify_raw(quote.ak.key, (kind, name), signature, quote.attest), "tpm-quote-signature-invalid")
    demand(digest(b"".join(quote.pcrs.values())).digest() == quote.digest, "tpm-pcr-mismatch")
    if log is not None:
        demand(quote.pcrs.get(log[0]) == replay(log[1]), "event-log-mismatch")

def judge_key(quote):
    """AT15.5"""
    demand(quote.ak.attributes & (WANTED | DECRYPT) == WANTED, "tpm-key")
