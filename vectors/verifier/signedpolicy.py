"""Signed policies (AT8.13)."""

from hashlib import sha256

from .cose import check_signature, open_cose
from .refusal import demand
from .shapes import exactly, hash32, record, text, uint

SIGNED_POLICY_BYTES = 66_560
CONTENT_TYPE = exactly("application/countersign-evidence-policy+json")
CLAIMS = record({1: text(1, 255), 4: uint, 6: uint})
HEADER = record({1: exactly(-7), 3: CONTENT_TYPE, 4: hash32, 15: CLAIMS})

def open_signed_policy(raw, signers, now, issued_from):
    """The bytes of the policy, judged in the order of AT8.13."""
    cose = open_cose(raw, SIGNED_POLICY_BYTES)
    demand(HEADER(cose.header), "cose-header-malformed")
    keys = [key for key in signers if sha256(key).digest() == cose.header[4]]
    demand(keys, "policy-signer-unknown")
    check_signature(cose, keys[0])
    claims = cose.header[15]
    demand(claims[6] * 1000 <= now < claims[4] * 1000, "policy-expired")
    demand(claims[6] >= issued_from, "policy-withdrawn")
    return cose.payload
