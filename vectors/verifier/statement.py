"""Statements: header, payload and charge (ST2.2, ST3, RC2); the checks statement and signature."""

from hashlib import sha256

from .cbor import decode_cbor
from .cose import check_signature, open_cose
from .refusal import demand
from .shapes import amount, any_octets, any_text, exactly, hash32, octets, record, text, uint

text128, text255, payment_id = text(1, 128), text(1, 255), octets(1, 64)
CONTENT_TYPE = exactly("application/countersign+cbor")
STATEMENT_HEADER = record({1: exactly(-7), 3: CONTENT_TYPE, 4: hash32, 15: record({1: text255, 2: text255})})
TYPE_NAMES = {1: "receipt", 2: "refusal", 3: "keyset"}
RECEIPT, REFUSAL, KEYSET = TYPE_NAMES
CHARGES = {
    "none": record({1: any_text, 2: exactly(b"")}),
    "api-key": record({1: any_text, 2: amount, 4: text128, 5: payment_id}),
    "exact": record({1: any_text, 2: amount, 3: text128, 4: text128, 5: hash32}, {6: hash32}),  # RC2.3
    "upto": record({1: any_text, 2: amount, 3: text128, 4: text128, 5: hash32}),
    "batch-settlement": record({1: any_text, 2: amount, 3: text128, 4: text128, 5: hash32, 7: amount}),
}

def charge(value):
    scheme = value.get(1) if type(value) is dict else None
    if type(scheme) is not str or scheme not in CHARGES or not CHARGES[scheme](value):
        return False
    return scheme != "batch-settlement" or int.from_bytes(value[7], "big") >= int.from_bytes(value[2], "big")

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

def judge_statement(call):
    call.statement = parse_statement(call.bundle.statement, (RECEIPT, REFUSAL))
    call.fields = call.statement.fields

def judge_signature(call):
    check_signature(call.statement, call.keyset[3])
