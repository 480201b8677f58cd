"""Attestation evidence (ST5, BU3.6)."""

from hashlib import sha256, sha512

from .cbor import decode_as, decode_cbor
from .cose import check_signature, open_cose
from .refusal import NotChecked, Refusal, demand
from .shapes import any_octets, exactly, hash32, key64, record, uint

EVIDENCE_BYTES = 4096
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
