#!/usr/bin/env python3
"""Independent verifier of evidence bundles, written from spec/ alone (no code shared with the rest).

  python3 vectors/verify.py            judges cbor.json and bundles.json beside this file
  python3 vectors/verify.py --stdin    one case (JSON) per line in, one verdict (JSON) per line out

Comments cite the clauses of spec/. A judging function returns (passed), raises Refusal (failed, with
its code) or raises NotChecked (with its reason). No other exception may leave `verify`.
"""

import base64
import json
import re
import sys
from hashlib import sha256, sha512
from pathlib import Path
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

LIMIT = 2**53
STATEMENT_BYTES, KEYSET_BYTES, EVIDENCE_BYTES, CLAIM_BYTES = 8192, 4096, 4096, 16384
BUNDLE_BYTES, POLICY_BYTES = 4_194_304, 65_536

class Refusal(Exception):
    """A failed check; the argument is the code."""

class NotChecked(Exception):
    """A check that could not be made; the argument is the reason."""

def demand(condition, code):
    if not condition:
        raise Refusal(code)

# ---- Shapes: predicates over decoded CBOR or JSON. bool is an int in Python, so types are exact. ----

def uint(value):
    return type(value) is int and value >= 0

def text(low=0, high=LIMIT):
    return lambda value: type(value) is str and low <= len(value.encode()) <= high

def octets(low, high):
    return lambda value: type(value) is bytes and low <= len(value) <= high

def exactly(expected):
    return lambda value: type(value) is type(expected) and value == expected

def one_of(*values):
    return lambda value: type(value) is str and value in values

def nullable(shape):
    return lambda value: value is None or shape(value)

def either(first, second):
    return lambda value: first(value) or second(value)

def array(shape, low, high):
    return lambda value: type(value) is list and low <= len(value) <= high and all(map(shape, value))

def record(required, optional=()):
    """A map that has all required keys, perhaps optional ones, and no others."""
    every = {**required, **dict(optional)}

    def matches(value):
        return (
            type(value) is dict
            and required.keys() <= value.keys() <= every.keys()
            and all(every[key](item) for key, item in value.items())
        )

    return matches

def amount(value):
    """RC2.1: unsigned big-endian, no leading zero byte, zero is empty."""
    return octets(0, 32)(value) and value[:1] != b"\0"

any_text, any_octets, hash32, key64 = text(), octets(0, LIMIT), octets(32, 32), octets(64, 64)
text_or_null, uint_or_null = nullable(any_text), nullable(uint)

def tuple_of(*shapes):
    """An array with one item of each shape."""
    return lambda value: (
        type(value) is list
        and len(value) == len(shapes)
        and all(shape(item) for shape, item in zip(shapes, value))
    )

def strict_utf8(data, code):
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refusal(code) from None

# ---- CBOR (ST1) ----

SHORTEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
SIMPLE = {20: False, 21: True, 22: None}
MAX_CBOR_DEPTH = 8

class CborReader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        start, self.position = self.position, self.position + size
        demand(self.position <= len(self.data), "cbor-truncated")
        return self.data[start : self.position]

    def head(self, is_key):
        """Major type and argument, judged in the order of ST1.5."""
        demand(self.position < len(self.data), "cbor-truncated")
        major, info = self.data[self.position] >> 5, self.data[self.position] & 31
        self.position += 1
        demand(info < 28, "cbor-not-canonical")
        supported = major in (0, 1, 3) if is_key else major < 6 or (major == 7 and info in SIMPLE)
        demand(supported, "cbor-unsupported-type")
        if info < 24:
            return major, info
        argument = int.from_bytes(self.take(1 << (info - 24)), "big")
        demand(argument >= SHORTEST[info], "cbor-not-canonical")
        return major, argument

    def item(self, depth=0, is_key=False):
        """`depth` is that of the array or map that holds the item."""
        major, argument = self.head(is_key)
        if major <= 1:
            demand(argument < LIMIT - major, "cbor-unsupported-type")
            return -1 - argument if major else argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return strict_utf8(self.take(argument), "cbor-invalid-utf8")
        if major == 7:
            return SIMPLE[argument]
        demand(argument * (major - 3) <= len(self.data) - self.position, "cbor-truncated")
        demand(depth < MAX_CBOR_DEPTH, "cbor-too-deep")
        if major == 4:
            return [self.item(depth + 1) for _ in range(argument)]
        return self.map(argument, depth + 1)

    def map(self, count, depth):
        result, previous = {}, b""
        for _ in range(count):
            start = self.position
            key = self.item(depth, is_key=True)
            encoded = self.data[start : self.position]
            demand(encoded != previous, "cbor-duplicate-key")
            demand(encoded > previous, "cbor-not-canonical")
            result[key] = self.item(depth)
            previous = encoded
        return result

def decode_cbor(data, limit=LIMIT):
    demand(len(data) <= limit, "cbor-too-large")
    reader = CborReader(data)
    value = reader.item()
    demand(reader.position == len(data), "cbor-trailing-bytes")
    return value

def encode_head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(size for size in (1, 2, 4, 8) if argument < 1 << (8 * size))
    return bytes([major << 5 | 23 + size.bit_length()]) + argument.to_bytes(size, "big")

def encode_cbor(value):
    if value is None or type(value) is bool:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if type(value) is int:
        return encode_head(0, value) if value >= 0 else encode_head(1, -1 - value)
    if type(value) is bytes:
        return encode_head(2, len(value)) + value
    if type(value) is str:
        return encode_head(3, len(value.encode())) + value.encode()
    if type(value) is list:
        return encode_head(4, len(value)) + b"".join(map(encode_cbor, value))
    pairs = sorted((encode_cbor(key), encode_cbor(item)) for key, item in value.items())
    return encode_head(5, len(pairs)) + b"".join(key + item for key, item in pairs)

# ---- JSON (BU1.1) and base64url (BU1.3) ----

JSON_SPACE = re.compile(r"[ \t\n\r]*")
JSON_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
JSON_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
JSON_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?![0-9.eE])")
JSON_WORD = re.compile(r"true|false|null")
ESCAPES = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t'))
WORDS = {"true": True, "false": False, "null": None}
MAX_JSON_DEPTH = 8
BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

class JsonReader:
    def __init__(self, source):
        self.source, self.position = source, 0

    def peek(self):
        """The next character that is not white space; empty at the end."""
        character = self.source[self.position : self.position + 1]
        if character > " ":
            return character
        self.position = JSON_SPACE.match(self.source, self.position).end()
        return self.source[self.position : self.position + 1]

    def expect(self, character):
        demand(self.peek() == character, "bundle-not-json")
        self.position += 1

    def match(self, pattern):
        found = pattern.match(self.source, self.position)
        demand(found, "bundle-not-json")
        self.position = found.end()
        return found

    def value(self, depth):
        first = self.peek()
        if first == '"':
            return self.string()
        if first in ("{", "["):
            demand(depth < MAX_JSON_DEPTH, "bundle-not-json")
            return self.object(depth + 1) if first == "{" else self.array(depth + 1)
        if first in ("t", "f", "n"):
            return WORDS[self.match(JSON_WORD).group()]
        number = int(self.match(JSON_INTEGER).group())
        demand(abs(number) < LIMIT, "bundle-not-json")
        return number

    def string(self):
        self.expect('"')
        parts, high = [], None
        while True:
            plain = self.match(JSON_PLAIN).group()
            ended = self.source.startswith('"', self.position)
            demand(high is None or (not plain and not ended), "bundle-not-json")
            parts.append(plain)
            if ended:
                self.position += 1
                return "".join(parts)
            short, unicode = self.match(JSON_ESCAPE).groups()
            unit = ord(ESCAPES[short]) if short else int(unicode, 16)
            if high is not None:
                demand(0xDC00 <= unit <= 0xDFFF, "bundle-not-json")
                parts.append(chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00))
                high = None
            elif 0xD800 <= unit <= 0xDBFF:
                high = unit
            else:
                demand(not 0xDC00 <= unit <= 0xDFFF, "bundle-not-json")
                parts.append(chr(unit))

    def members(self, close, read_member):
        """What stands between an opening bracket and `close`, separated by commas."""
        self.position += 1
        if self.peek() != close:
            read_member()
            while self.peek() == ",":
                self.position += 1
                read_member()
        self.expect(close)

    def array(self, depth):
        result = []
        self.members("]", lambda: result.append(self.value(depth)))
        return result

    def object(self, depth):
        result = {}

        def read_member():
            demand(self.peek() == '"', "bundle-not-json")
            name = self.string()
            demand(name not in result, "bundle-not-json")
            self.expect(":")
            result[name] = self.value(depth)

        self.members("}", read_member)
        return result

def parse_json(data):
    reader = JsonReader(strict_utf8(data, "bundle-not-json"))
    value = reader.value(0)
    demand(reader.peek() == "", "bundle-not-json")
    return value

def parse_base64(source):
    demand(BASE64URL.fullmatch(source) and len(source) % 4 != 1, "bundle-base64")
    data = base64.urlsafe_b64decode(source + "=" * (-len(source) % 4))
    demand(base64.urlsafe_b64encode(data).decode().rstrip("=") == source, "bundle-base64")
    return data

# ---- ES256 and COSE_Sign1 (ST2) ----

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
    """ST2.4, in its order."""
    r, s = int.from_bytes(cose.signature[:32], "big"), int.from_bytes(cose.signature[32:], "big")
    demand(len(cose.signature) == 64 and 0 < r < N and s != 0, "cose-signature-malformed")
    demand(s <= (N - 1) // 2, "cose-signature-high-s")
    signed = encode_cbor(["Signature1", cose.protected, b"", cose.payload])
    public = public_key(key)
    demand(public, "signature-invalid")
    try:
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Refusal("signature-invalid") from None

COSE_PARTS = tuple_of(any_octets, lambda value: type(value) is dict, any_octets, any_octets)

def open_cose(raw):
    """ST2.1 and ST2.2 up to alg."""
    demand(len(raw) <= STATEMENT_BYTES, "cbor-too-large")
    demand(raw[:1] == b"\xd2", "cose-malformed")
    parts = decode_cbor(raw[1:])
    demand(COSE_PARTS(parts), "cose-malformed")
    demand(parts[1] == {}, "cose-unprotected-not-empty")
    header = decode_cbor(parts[0])
    demand(type(header) is dict and 1 in header, "cose-header-malformed")
    demand(exactly(-7)(header[1]), "cose-algorithm-unsupported")
    return SimpleNamespace(protected=parts[0], payload=parts[2], signature=parts[3], header=header)

# ---- Statements (ST2.2, ST3, RC2) ----

text128, text255, payment_id = text(1, 128), text(1, 255), octets(1, 64)
CONTENT_TYPE = exactly("application/countersign+cbor")
STATEMENT_HEADER = record({1: exactly(-7), 3: CONTENT_TYPE, 4: hash32, 15: record({1: text255, 2: text255})})
TYPE_NAMES = {1: "receipt", 2: "refusal", 3: "keyset"}
RECEIPT, REFUSAL, KEYSET = TYPE_NAMES
CHARGES = {
    "none": record({1: any_text, 2: exactly(b"")}),
    "api-key": record({1: any_text, 2: amount, 4: text128, 5: payment_id}),
    "exact": record({1: any_text, 2: amount, 3: text128, 4: text128, 5: hash32}, {6: hash32}),  # RC2.3
}

def charge(value):
    scheme = value.get(1) if type(value) is dict else None
    return type(scheme) is str and scheme in CHARGES and CHARGES[scheme](value)

ALL_FIELDS = {1: uint, 2: uint, 3: octets(16, 16), 4: uint, 5: hash32, 6: hash32, 7: uint}
CALL_FIELDS = {**ALL_FIELDS, 9: charge, 10: hash32, 11: lambda value: uint(value) and 1 <= value <= 64}
PAYLOADS = {
    RECEIPT: record(CALL_FIELDS, {8: octets(1, 64)}),
    REFUSAL: record(CALL_FIELDS, {8: octets(1, 64)}),
    KEYSET: record({**ALL_FIELDS, 12: any_octets}),
}

def parse_statement(raw, types):
    """ST1 to ST3 in the order of ST2.2; another type than those wanted is BU3.13."""
    cose = open_cose(raw)
    demand(STATEMENT_HEADER(cose.header), "cose-header-malformed")
    fields = decode_cbor(cose.payload)
    demand(type(fields) is dict, "payload-malformed")
    demand(exactly(1)(fields.get(1)), "payload-version-unsupported")
    demand(uint(fields.get(2)) and fields[2] in TYPE_NAMES, "payload-type-unsupported")
    demand(PAYLOADS[fields[2]](fields), "payload-malformed")
    cose.fields, cose.kid = fields, cose.header[4]
    cose.issuer, subject = cose.header[15][1], cose.header[15][2]
    demand(subject == f"{TYPE_NAMES[fields[2]]}:{fields[3].hex()}", "statement-subject-mismatch")
    if fields[2] == KEYSET:
        demand(fields[4] == 0 and fields[5] == bytes(32), "payload-malformed")
        demand(fields[6] == sha256(fields[12]).digest(), "keyset-digest-mismatch")
    demand(fields[2] in types, "payload-type-unsupported")
    return cose

# ---- Keyset (ST4) ----

KEYSET_DOCUMENT = record(
    {1: exactly(1), 2: text255, 3: key64, 4: uint, 5: uint, 6: hash32, 7: hash32},
    {8: hash32, 9: array(record({1: text128, 2: text128, 3: text128}), 0, 8), 10: text128},
)

def decode_as(data, limit, code):
    """The decoded item; every refusal of its CBOR is the given code."""
    try:
        return decode_cbor(data, limit)
    except Refusal:
        raise Refusal(code) from None

def judge_statement(call):
    call.statement = parse_statement(call.bundle.statement, (RECEIPT, REFUSAL))
    call.fields = call.statement.fields

def judge_keyset(call):
    """BU3.14"""
    statement = parse_statement(call.bundle.keyset, (KEYSET,))
    document = decode_as(statement.fields[12], KEYSET_BYTES, "keyset-malformed")
    demand(KEYSET_DOCUMENT(document), "keyset-malformed")
    start, end = document[4], document[5]
    demand(start < end <= start + 86_400_000, "keyset-lifetime")
    demand(statement.issuer == document[2], "keyset-issuer-mismatch")
    demand(start <= statement.fields[7] <= end, "keyset-not-valid-at-time")
    call.keyset_statement, call.keyset = statement, document
    call.keyset_digest = statement.fields[6]  # equal to SHA-256(document) by ST3.4

def judge_keyset_signature(call):
    check_signature(call.keyset_statement, call.keyset[3])
    demand(call.keyset_statement.kid == sha256(call.keyset[3]).digest(), "keyset-key-not-listed")

def judge_keyset_binding(call):
    demand(call.fields[6] == call.keyset_digest, "keyset-digest-mismatch")
    demand(call.statement.kid == sha256(call.keyset[3]).digest(), "keyset-key-not-listed")
    demand(call.statement.issuer == call.keyset[2], "keyset-issuer-mismatch")

def judge_signature(call):
    check_signature(call.statement, call.keyset[3])

def judge_keyset_validity(call):
    demand(call.keyset[4] <= call.fields[7] <= call.keyset[5], "keyset-not-valid-at-time")

# ---- Policy (BU2) and bundle (BU1) ----

def root_text(value):
    return type(value) is str and re.fullmatch("[0-9a-f]{64}", value) is not None

ROOTS = either(exactly("any"), array(root_text, 0, 64))
POLICY = record(
    {
        "policy": exactly(1),
        "name": text(1, 64),
        "require": array(lambda value: type(value) is str and value in CHECKS, 0, LIMIT),
        "evidence": array(record({"kind": text(1, 64), "roots": ROOTS}), 0, 8),
        "issuers": either(exactly("any"), array(any_text, 0, 64)),
        "maxAgeMs": uint_or_null,
        "maxClockSkewMs": lambda value: uint(value) and value <= 86_400_000,
    }
)
REQUIRED = ["claims", "meaning", "charge"]
REQUIRED += ["evidence-chain", "evidence-binding", "evidence-measurement", "evidence-accepted"]

def built_in_policy(name, evidence):
    policy = {"policy": 1, "name": name, "require": REQUIRED, "evidence": evidence}
    policy.update({"issuers": "any", "maxAgeMs": None, "maxClockSkewMs": 300_000})
    return json.dumps(policy).encode()

BUILT_IN = {
    "default": built_in_policy("default", [{"kind": "simulated", "roots": "any"}]),
    "production": built_in_policy("production", []),
}

def judge_policy(call):
    demand(len(call.policy_bytes) <= POLICY_BYTES, "policy-malformed")
    try:
        policy = parse_json(call.policy_bytes)
    except Refusal:
        raise Refusal("policy-malformed") from None
    demand(POLICY(policy), "policy-malformed")
    kinds = {entry["kind"]: entry["roots"] for entry in policy["evidence"]}
    demand(len(set(policy["require"])) == len(policy["require"]), "policy-malformed")
    demand(len(kinds) == len(policy["evidence"]), "policy-malformed")
    demand(policy["require"], "policy-empty")
    call.policy, call.accepted_kinds = policy, kinds

BUNDLE = record(
    {
        "countersign": exactly(1),
        "statement": any_text,
        "claims": array(either(record({"claim": any_text}), record({"leaf": any_text})), 0, 64),
        "keyset": any_text,
        "evidence": array(record({"kind": text(1, 64), "nonce": any_text, "data": any_text}), 0, 1),
        "proofs": array(record({"kind": text(1, 64), "data": any_text}), 0, 16),
    },
    {"events": any_text},
)

def judge_bundle(call):
    """BU1.1, BU1.2 for the whole file, then BU1.3 for each byte string in its order."""
    demand(len(call.bundle_bytes) <= BUNDLE_BYTES, "bundle-too-large")
    value = parse_json(call.bundle_bytes)
    demand(type(value) is dict, "bundle-malformed")
    demand(exactly(1)(value.get("countersign")), "bundle-version-unsupported")
    demand(BUNDLE(value), "bundle-malformed")
    call.bundle = SimpleNamespace(
        statement=parse_base64(value["statement"]),
        claims=[decode_members(entry, ("claim", "leaf")) for entry in value["claims"]],
        keyset=parse_base64(value["keyset"]),
        evidence=[decode_members(entry, ("nonce", "data")) for entry in value["evidence"]],
        proofs=[decode_members(entry, ("data",)) for entry in value["proofs"]],
        events=decode_members(value, ("events",)).get("events"),
    )

SIZES = {"leaf": hash32, "nonce": hash32, "events": lambda value: len(value) % 32 == 0}

def decode_members(entry, names):
    """The entry with the members named, where it has them, as bytes of the right length."""
    result = dict(entry)
    for name in names:
        if name in entry:
            result[name] = parse_base64(entry[name])
            demand(SIZES.get(name, any_octets)(result[name]), "bundle-malformed")
    return result

# ---- Time, issuer, nonce, proofs (BU3.4, BU3.5, BU3.7, BU3.9) ----

def judge_time(call):
    signed, oldest = call.fields[7], call.policy["maxAgeMs"]
    demand(signed <= call.now + call.policy["maxClockSkewMs"], "statement-in-future")
    demand(oldest is None or signed >= call.now - oldest, "statement-too-old")

def judge_issuer(call):
    if call.policy["issuers"] == "any":
        raise NotChecked("any-issuer")
    demand(call.keyset[2] in call.policy["issuers"], "issuer-not-allowed")

def judge_nonce(call):
    if call.held_nonce is None:
        raise NotChecked("not-given")
    demand(call.fields.get(8) == call.held_nonce, "nonce-mismatch")

def judge_proofs(call):
    if call.bundle.proofs:
        raise NotChecked("unknown-kind")

# ---- Claims (RC3, RC4) ----

CLAIM = tuple_of(hash32, text(1, 64), lambda value: True)
TLS = record({"chain": array(hash32, 1, 10), "spki": hash32, "version": any_text})
SOURCE = one_of("provider", "none")
STATE = one_of("complete", "aborted-by-client", "upstream-error", "timeout")
CLAIM_SCHEMAS = {
    "forwarded": record({"bytes": uint, "sha256": hash32, "transform": any_text}),
    "model": record({"asserted": text_or_null, "requested": any_text}),
    "outcome": record({"error": text_or_null, "finish": text_or_null, "state": STATE}),
    "parameters": lambda value: type(value) is dict and all(map(any_text, [*value, *value.values()])),
    "price": record({"amount": amount, "sheet": hash32}),
    "refusal": record({"code": any_text, "status": uint}),
    "request": record({"bytes": uint, "method": any_text, "path": any_text, "sha256": hash32}),
    "response": record({"bytes": uint, "sha256": hash32, "status": uint, "transform": any_text}),
    "stream": record({"events": uint, "head": hash32}),
    "timing": record({"completed": uint, "firstByte": uint_or_null, "received": uint}),
    "upstream": record({"host": any_text, "requestId": text_or_null, "tls": nullable(TLS)}),
    "upstream-response": record({"bytes": uint, "sha256": hash32, "status": uint_or_null}),
    "usage": record({"input": uint_or_null, "output": uint_or_null, "raw": text_or_null, "source": SOURCE}),
}
NEEDED_CLAIMS = {
    RECEIPT: CLAIM_SCHEMAS.keys() - {"refusal", "stream"},
    REFUSAL: {"refusal", "request", "response"},
}

def tree_hash(leaves):
    """RFC 6962 §2.1 over leaf hashes; there is at least one."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()

def parse_claim(raw):
    parts = decode_as(raw, CLAIM_BYTES, "claim-malformed")
    demand(CLAIM(parts), "claim-malformed")
    return parts[1], parts[2]

def judge_claims(call):
    """BU3.11"""
    entries = call.bundle.claims
    demand(len(entries) == call.fields[11], "claims-count-mismatch")
    disclosed = [parse_claim(entry["claim"]) for entry in entries if "claim" in entry]
    names = [name.encode() for name, _ in disclosed]
    demand(all(first < second for first, second in zip(names, names[1:])), "claims-not-sorted")
    leaves = [entry.get("leaf") or sha256(b"\0" + entry["claim"]).digest() for entry in entries]
    demand(tree_hash(leaves) == call.fields[10], "claims-root-mismatch")
    call.claims, call.all_disclosed = dict(disclosed), len(disclosed) == len(entries)

def disclosed_claim(call, name):
    """The claim's value in its schema, for the checks that stand beside `meaning`."""
    if name not in call.claims:
        raise NotChecked("withheld")
    demand(CLAIM_SCHEMAS[name](call.claims[name]), "claim-schema")
    return call.claims[name]

def same_bytes(first, second):
    return first["bytes"] == second["bytes"] and first["sha256"] == second["sha256"]

def compare_bodies(claims):
    """RC4.2: each comparison is made when its claims are disclosed (RC4.4)."""
    if claims.keys() >= {"forwarded", "request"} and claims["forwarded"]["transform"] == "identity":
        demand(same_bytes(claims["forwarded"], claims["request"]), "identity-broken")
    if not claims.keys() >= {"response", "upstream-response", "outcome"}:
        return
    response, upstream = claims["response"], claims["upstream-response"]
    if response["transform"] == "identity":
        complete = claims["outcome"]["state"] == "complete"
        demand(not complete or same_bytes(response, upstream), "identity-broken")
        demand(response["bytes"] <= upstream["bytes"], "identity-broken")

def needed_for_comparison(claims):
    """RC4.4: both transforms, and what an identity is compared with."""
    def is_identity(name):
        return name in claims and claims[name]["transform"] == "identity"
    needed = {"forwarded", "response"}
    if is_identity("forwarded"):
        needed |= {"request"}
    if is_identity("response"):
        needed |= {"upstream-response", "outcome"}
    return needed

def judge_meaning(call):
    """BU3.12; a failure that can be seen goes before `withheld`."""
    for name, value in call.claims.items():
        demand(name not in CLAIM_SCHEMAS or CLAIM_SCHEMAS[name](value), "claim-schema")
    missing = NEEDED_CLAIMS[call.fields[2]] - call.claims.keys()
    demand(not (call.all_disclosed and missing), "claim-missing")
    compare_bodies(call.claims)
    if "stream" in call.claims and call.bundle.events is not None:
        check_head(call.claims["stream"], event_list(call.bundle))
    if call.fields[2] == RECEIPT and not needed_for_comparison(call.claims) <= call.claims.keys():
        raise NotChecked("withheld")

def judge_charge(call):
    charged = int.from_bytes(call.fields[9][2], "big")
    if call.fields[2] == REFUSAL:
        demand(charged == 0, "refusal-charged")
        return
    price = disclosed_claim(call, "price")
    demand(charged <= int.from_bytes(price["amount"], "big"), "charge-exceeds-price")

# ---- Event chain (RC5) and the bytes that the caller holds (BU3.8) ----

LINE_END = re.compile(rb"\r\n|\n|\r")

def cut_events(body):
    """RC5.1: the events and the bytes after the last one."""
    events, event_start, line_start = [], 0, 0
    for end in LINE_END.finditer(body):
        if end.start() == line_start:
            events.append(body[event_start : end.end()])
            event_start = end.end()
        line_start = end.end()
    return events, body[event_start:]

def event_list(bundle):
    return [bundle.events[start : start + 32] for start in range(0, len(bundle.events), 32)]

def check_head(stream, digests):
    head = sha256(b"countersign/events/v1").digest()
    for digest in digests:
        head = sha256(b"\x02" + head + digest).digest()
    demand(stream["events"] == len(digests) and stream["head"] == head, "event-chain-mismatch")

def is_body(claim, body):
    return claim["bytes"] == len(body) and claim["sha256"] == sha256(body).digest()

def judge_request_bytes(call):
    if call.held_request is None:
        raise NotChecked("not-given")
    demand(is_body(disclosed_claim(call, "request"), call.held_request), "request-bytes-mismatch")

def judge_response_bytes(call):
    if call.held_response is None:
        raise NotChecked("not-given")
    if call.held_is_prefix:
        return check_prefix(call)
    demand(is_body(disclosed_claim(call, "response"), call.held_response), "response-bytes-mismatch")
    if "stream" in call.claims:
        events, tail = cut_events(call.held_response)
        elements = events + [tail] if tail else events
        check_head(disclosed_claim(call, "stream"), [sha256(element).digest() for element in elements])

def check_prefix(call):
    if call.all_disclosed:
        demand("stream" in call.claims, "response-prefix-unprovable")
    stream = disclosed_claim(call, "stream")
    demand(call.bundle.events is not None, "response-prefix-unprovable")
    events, tail = cut_events(call.held_response)
    demand(not tail, "response-prefix-not-at-event-end")
    digests = event_list(call.bundle)
    demand([sha256(event).digest() for event in events] == digests[: len(events)], "event-chain-mismatch")
    check_head(stream, digests)

# ---- Attestation evidence (ST5, BU3.6) ----

EVIDENCE = record({1: exactly(1), 2: key64, 3: any_octets, 4: any_octets})
ENDORSEMENT = record({1: exactly(1), 2: key64, 3: uint, 4: uint})
QUOTE = record({1: exactly(1), 2: key64, 3: hash32, 4: uint})

def parse_evidence_part(raw, name, shape):
    """ST5.3: an endorsement or a quote; whatever is wrong with its structure has one code."""
    try:
        cose = open_cose(raw)
        cose.fields = decode_cbor(cose.payload)
    except Refusal:
        raise Refusal("evidence-malformed") from None
    content_type = f"application/countersign-simulated-{name}+cbor"
    header = record({1: exactly(-7), 3: exactly(content_type), 4: hash32})
    demand(header(cose.header) and shape(cose.fields), "evidence-malformed")
    return cose

def check_link(cose, key):
    """ST5.4"""
    demand(cose.header[4] == sha256(key).digest(), "evidence-chain-invalid")
    try:
        check_signature(cose, key)
    except Refusal:
        raise Refusal("evidence-chain-invalid") from None

def judge_evidence_chain(call):
    if not call.bundle.evidence:
        raise NotChecked("no-evidence")
    evidence = call.bundle.evidence[0]
    if evidence["kind"] != "simulated":
        raise NotChecked("unknown-kind")
    chain = decode_as(evidence["data"], EVIDENCE_BYTES, "evidence-malformed")
    demand(EVIDENCE(chain), "evidence-malformed")
    endorsement = parse_evidence_part(chain[3], "endorsement", ENDORSEMENT)
    quote = parse_evidence_part(chain[4], "quote", QUOTE)
    check_link(endorsement, chain[2])
    check_link(quote, endorsement.fields[2])
    demand(endorsement.fields[3] <= quote.fields[4] <= endorsement.fields[4], "evidence-expired")
    call.quote, call.root = quote.fields, sha256(chain[2]).hexdigest()

def judge_evidence_binding(call):
    nonce = call.bundle.evidence[0]["nonce"]
    expected = sha512(b"countersign/keyset/v1" + call.keyset_digest + nonce).digest()
    demand(call.quote[2] == expected, "evidence-binding-mismatch")

def judge_evidence_measurement(call):
    demand(call.quote[3] == call.keyset[7], "evidence-measurement-mismatch")

def judge_evidence_accepted(call):
    if not call.bundle.evidence:
        raise NotChecked("no-evidence")
    kind = call.bundle.evidence[0]["kind"]
    demand(kind in call.accepted_kinds, "evidence-kind-refused")
    roots = call.accepted_kinds[kind]
    if roots == "any":
        return
    if call.root is None:  # set only when evidence-chain passed
        raise NotChecked("blocked")
    demand(call.root in roots, "evidence-root-refused")

# ---- Verification (BU3) ----

CHECKS = {  # BU3.2: id → prerequisites and judgement, in order
    "policy": ([], judge_policy),
    "bundle": ([], judge_bundle),
    "statement": (["bundle"], judge_statement),
    "keyset": (["bundle"], judge_keyset),
    "keyset-signature": (["keyset"], judge_keyset_signature),
    "keyset-binding": (["statement", "keyset"], judge_keyset_binding),
    "signature": (["keyset-binding"], judge_signature),
    "keyset-validity": (["keyset-binding"], judge_keyset_validity),
    "time": (["statement", "policy"], judge_time),
    "issuer": (["keyset", "policy"], judge_issuer),
    "claims": (["statement"], judge_claims),
    "meaning": (["claims"], judge_meaning),
    "charge": (["claims"], judge_charge),
    "evidence-chain": (["bundle", "policy"], judge_evidence_chain),
    "evidence-binding": (["evidence-chain", "keyset"], judge_evidence_binding),
    "evidence-measurement": (["evidence-chain", "keyset"], judge_evidence_measurement),
    "evidence-accepted": (["bundle", "policy"], judge_evidence_accepted),
    "nonce": (["statement"], judge_nonce),
    "request-bytes": (["claims"], judge_request_bytes),
    "response-bytes": (["claims"], judge_response_bytes),
    "proofs": (["bundle"], judge_proofs),
}
IDS = list(CHECKS)
HELD_CHECKS = {"nonce": "held_nonce", "request-bytes": "held_request", "response-bytes": "held_response"}

def run_check(call, prerequisites, judge, statuses):
    if any(statuses[prerequisite] != "passed" for prerequisite in prerequisites):
        return "not-checked", "blocked"
    try:
        judge(call)
        return "passed", ""
    except Refusal as refusal:
        return "failed", refusal.args[0]
    except NotChecked as not_checked:
        return "not-checked", not_checked.args[0]

def verdict_of(call, statuses):
    """BU3.3"""
    if "failed" in statuses.values():
        return "invalid"
    held = [check for check, attribute in HELD_CHECKS.items() if getattr(call, attribute) is not None]
    needed = IDS[:9] + call.policy["require"] + held
    return "valid" if all(statuses[check] == "passed" for check in needed) else "incomplete"

def level_of(call, statuses):
    """BU3.10"""
    if any(statuses[check] != "passed" for check in IDS[1:8]):
        return "none"
    if any(statuses[check] != "passed" for check in IDS[13:17]):
        return "L0"
    return "L1-SIMULATED" if call.bundle.evidence[0]["kind"] == "simulated" else "L1"

def verify(bundle_bytes, policy_bytes, now, request=None, response=None, is_prefix=False, nonce=None):
    call = SimpleNamespace(bundle_bytes=bundle_bytes, policy_bytes=policy_bytes, now=now, root=None)
    call.held_request, call.held_response, call.held_nonce = request, response, nonce
    call.held_is_prefix = is_prefix
    statuses, checks = {}, []
    for check, (prerequisites, judge) in CHECKS.items():
        statuses[check], detail = run_check(call, prerequisites, judge, statuses)
        checks.append([check, statuses[check], detail])
    return {"verdict": verdict_of(call, statuses), "level": level_of(call, statuses), "checks": checks}

# ---- Vectors (README.md beside this file) ----

def verify_case(case):
    policy, held = case["policy"], case.get("held", {})
    return verify(
        parse_base64(case["bundle"]),
        parse_base64(policy[4:]) if policy.startswith("b64:") else BUILT_IN[policy],
        case["now"],
        is_prefix=held.get("responseIsPrefix", False),
        **{name: parse_base64(held[name]) for name in ("request", "response", "nonce") if name in held},
    )

def decode_case(case):
    data = bytes.fromhex(case["input"])
    try:
        value = decode_cbor(data, case["limitBytes"])
    except Refusal as refusal:
        return {"code": refusal.args[0]}
    return {"ok": encode_cbor(value) == data}

def by_name(outcome):
    """A verdict as one entry per check and member, to show where two of them differ."""
    members = {name: value for name, value in outcome.items() if name != "checks"}
    return {**members, **{check: detail for check, *detail in outcome.get("checks", [])}}

def difference(expected, got):
    wanted, found = by_name(expected), by_name(got)
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    lines = [f"    {name}: expected {wanted.get(name)}, got {found.get(name)}" for name in names]
    return "\n".join(lines) or f"    expected {expected}, got {got}"

def judge_file(path, judge):
    cases = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if not cases:
        print(f"FAILED {path.name}: missing or without cases")
        return 0, 1
    failed = 0
    for case in cases:
        got = judge(case)
        if got != case["expect"] or got == {"ok": False}:
            failed += 1
            print(f"FAILED {path.name}: {case['name']} ({case['clause']})")
            print(difference(case["expect"], got))
    return len(cases) - failed, failed

def main(arguments):
    if arguments == ["--stdin"]:
        for line in sys.stdin:
            print(json.dumps(verify_case(json.loads(line)), separators=(",", ":")), flush=True)
        return 0
    if arguments:
        print("usage: verify.py [--stdin]", file=sys.stderr)
        return 64
    here = Path(__file__).resolve().parent
    results = [judge_file(here / "cbor.json", decode_case), judge_file(here / "bundles.json", verify_case)]
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
