"""The keyset, its own signature, and what a statement must share with it (ST4, BU3.14)."""

from hashlib import sha256

from .cbor import decode_as
from .cose import check_signature
from .refusal import demand
from .shapes import array, exactly, hash32, key64, record, uint
from .statement import KEYSET, parse_statement, text128, text255

KEYSET_BYTES = 4096

hosts = array(text255, 1, 32)

def ascending_hosts(value):
    return hosts(value) and all(a.encode() < b.encode() for a, b in zip(value, value[1:]))

keys = array(text128, 1, 8)

def distinct_keys(value):
    return keys(value) and len(set(value)) == len(value)

KEYSET_DOCUMENT = record(
    {1: exactly(1), 2: text255, 3: key64, 4: uint, 5: uint, 6: hash32, 7: hash32},
    {
        8: hash32, 9: array(record({1: text128, 2: text128, 3: text128}), 0, 8), 10: text128,
        11: hash32, 12: hash32, 13: ascending_hosts, 14: hash32, 15: distinct_keys,
    },
)

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

def judge_keyset_validity(call):
    demand(call.keyset[4] <= call.fields[7] <= call.keyset[5], "keyset-not-valid-at-time")
