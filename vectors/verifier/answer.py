"""Answers of /v1/attestation (ST5.7 to ST5.9)."""

import hmac
from hashlib import sha256
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .address import signed_by_address
from .cose import check_es256
from .evidence import (
    judge_evidence_accepted, judge_evidence_binding, judge_evidence_chain, judge_evidence_measurement,
)
from .jsontext import parse_base64, parse_json
from .keyset import judge_keyset, judge_keyset_signature
from .policy import judge_build, judge_configuration, judge_issuer, judge_policy, judge_upstreams
from .refusal import NotChecked, Refusal, demand
from .shapes import any_text, record, text
from .verdict import run_check

ANSWER_BYTES = 1_048_576
ANSWER = record(
    {
        "keyset": any_text,
        "evidence": record({"kind": text(1, 64), "nonce": any_text, "data": any_text}),
        "confirmations": record(
            {"receipt": any_text},
            {"settlement": any_text, "tls": record({"key": any_text, "signature": any_text}), "hpke": any_text},
        ),
    }
)
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
BASE = ["answer", "keyset", "keyset-signature", "keyset-validity", "nonce", "confirm-receipt"]
EVIDENCE = ["evidence-chain", "evidence-binding", "evidence-measurement", "evidence-accepted"]

def judge_answer(call):
    """ST5.7"""
    demand(len(call.answer_bytes) <= ANSWER_BYTES, "bundle-too-large")
    value = parse_json(call.answer_bytes)
    demand(ANSWER(value), "bundle-malformed")
    evidence, confirmed = value["evidence"], value["confirmations"]
    held = {name: parse_base64(evidence[name]) for name in ("nonce", "data")}
    call.bundle = SimpleNamespace(keyset=parse_base64(value["keyset"]), evidence=[{**evidence, **held}])
    tls = confirmed.get("tls", {"key": "", "signature": ""})
    call.confirmed = {name: parse_base64(confirmed.get(name, "")) for name in ("receipt", "settlement", "hpke")}
    call.confirmed["tls"] = parse_base64(tls["key"]), parse_base64(tls["signature"])

def judge_validity(call):
    """ST5.9"""
    start, end = call.keyset[4], call.keyset[5]
    demand(start - call.policy["maxClockSkewMs"] <= call.now <= end, "keyset-not-valid-at-time")

def judge_question(call):
    demand(call.bundle.evidence[0]["nonce"] == call.nonce, "nonce-mismatch")

def message_of(call, kind):
    prefix = "" if kind == "receipt" else f"{kind}-"
    return f"countersign/{prefix}key-confirmation/v1".encode() + call.keyset_digest + call.nonce

def confirm_receipt(call):
    check_es256(call.keyset[3], call.confirmed["receipt"], message_of(call, "receipt"))

def confirm_settlement(call):
    if 10 not in call.keyset:
        raise NotChecked("not-given")
    message = message_of(call, "settlement")
    demand(signed_by_address(call.keyset[10], message, call.confirmed["settlement"]), "signature-invalid")

def confirm_tls(call):
    if 11 not in call.keyset:
        raise NotChecked("not-given")
    key, signature = call.confirmed["tls"]
    demand(sha256(P256_SPKI + key).digest() == call.keyset[11], "keyset-key-not-listed")
    check_es256(key, signature, message_of(call, "tls"))

def confirm_hpke(call):
    if 12 not in call.keyset or call.share_key is None:
        raise NotChecked("not-given")
    private = X25519PrivateKey.from_private_bytes(call.share_key)
    share = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(call.keyset[12]))
    except ValueError:  # a point of low order
        raise Refusal("signature-invalid") from None
    mac = hmac.new(secret, message_of(call, "hpke") + share, "sha256").digest()
    demand(hmac.compare_digest(mac, call.confirmed["hpke"]), "signature-invalid")

JUDGES = {
    "policy": ([], judge_policy),
    "answer": ([], judge_answer),
    "keyset": (["answer"], judge_keyset),
    "keyset-signature": (["keyset"], judge_keyset_signature),
    "keyset-validity": (["keyset", "policy"], judge_validity),
    "issuer": (["keyset", "policy"], judge_issuer),
    "nonce": (["answer"], judge_question),
    "evidence-chain": (["answer", "policy"], judge_evidence_chain),
    "evidence-binding": (["evidence-chain", "keyset"], judge_evidence_binding),
    "evidence-measurement": (["evidence-chain", "keyset"], judge_evidence_measurement),
    "evidence-accepted": (["answer", "policy"], judge_evidence_accepted),
    "confirm-receipt": (["keyset"], confirm_receipt),
    "confirm-settlement": (["keyset"], confirm_settlement),
    "confirm-tls": (["keyset"], confirm_tls),
    "confirm-hpke": (["keyset"], confirm_hpke),
    "build": (["keyset", "policy"], judge_build),
    "configuration": (["keyset", "policy"], judge_configuration),
    "upstreams": (["keyset", "policy"], judge_upstreams),
}

def verify_answer(answer_bytes, policy_bytes, now, nonce, share_key):
    call = SimpleNamespace(
        answer_bytes=answer_bytes, policy_bytes=policy_bytes, now=now, nonce=nonce, share_key=share_key,
        root=None, claims={},
    )
    statuses, checks = {}, []
    for check, (prerequisites, judge) in JUDGES.items():
        statuses[check], detail = run_check(call, prerequisites, judge, statuses)
        checks.append([check, statuses[check], detail])
    verdict = "invalid"
    if "failed" not in statuses.values():
        asked = {*BASE, *call.policy["require"]}
        whole = all(status == "passed" for check, status in statuses.items() if check in asked)
        verdict = "valid" if whole else "incomplete"
    level = "none"
    if all(statuses[check] == "passed" for check in BASE):
        level = "L0"
        if all(statuses[check] == "passed" for check in EVIDENCE):
            level = "L2" if statuses["build"] == "passed" else "L1"
            level += "-SIMULATED" if call.bundle.evidence[0]["kind"] == "simulated" else ""
    return {"verdict": verdict, "level": level, "checks": checks}
