"""Policies (BU2), and what they say about time and issuer (BU3.4, BU3.5)."""

import json
import re

from .checks import PREREQUISITES
from .jsontext import parse_json
from .refusal import NotChecked, Refusal, demand
from .shapes import LIMIT, any_text, array, either, exactly, record, text, uint, uint_or_null

POLICY_BYTES = 65_536

def root_text(value):
    return type(value) is str and re.fullmatch("[0-9a-f]{64}", value) is not None

ROOTS = either(exactly("any"), array(root_text, 0, 64))
TEXTS = either(exactly("any"), array(any_text, 0, 64))
POLICY = record(
    {
        "policy": exactly(1),
        "name": text(1, 64),
        "require": array(lambda value: type(value) is str and value in PREREQUISITES, 0, LIMIT),
        "evidence": array(record({"kind": text(1, 64), "roots": ROOTS}), 0, 8),
        "issuers": TEXTS,
        "maxAgeMs": uint_or_null,
        "maxClockSkewMs": lambda value: uint(value) and value <= 86_400_000,
    },
    {"builds": ROOTS, "configurations": ROOTS, "upstreams": TEXTS},
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

def judge_time(call):
    signed, oldest = call.fields[7], call.policy["maxAgeMs"]
    demand(signed <= call.now + call.policy["maxClockSkewMs"], "statement-in-future")
    demand(oldest is None or signed >= call.now - oldest, "statement-too-old")

def judge_issuer(call):
    if call.policy["issuers"] == "any":
        raise NotChecked("any-issuer")
    demand(call.keyset[2] in call.policy["issuers"], "issuer-not-allowed")

def judge_listed(value, allowed):
    """BU3.17"""
    if allowed == "any":
        raise NotChecked("any-allowed")
    return value in allowed

def judge_build(call):
    demand(judge_listed(call.keyset[7].hex(), call.policy.get("builds", "any")), "build-not-allowed")

def judge_configuration(call):
    allowed = call.policy.get("configurations", "any")
    demand(judge_listed(call.keyset[6].hex(), allowed), "configuration-not-allowed")

def judge_upstreams(call):
    """BU3.18"""
    listed, allowed = call.keyset.get(13), call.policy.get("upstreams", "any")
    upstream = call.claims.get("upstream")
    called = upstream.get("host") if type(upstream) is dict else None
    if listed is not None and type(called) is str:
        demand(called in listed, "upstream-not-listed")
    if allowed == "any":
        raise NotChecked("any-allowed")
    demand(listed is not None and all(host in allowed for host in listed), "upstream-not-allowed")
