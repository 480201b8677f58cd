"""The claims tree (RC3, BU3.11), and the claims that it discloses."""

from hashlib import sha256

from .cbor import decode_as
from .refusal import NotChecked, demand
from .schemas import CLAIM_SCHEMAS
from .shapes import hash32, text, tuple_of

CLAIM_BYTES = 16384
CLAIM = tuple_of(hash32, text(1, 64), lambda value: True)

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
