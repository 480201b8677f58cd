"""The verdict and the level over all checks (BU3.1 to BU3.3, BU3.10)."""

from types import SimpleNamespace

from .bundle import judge_bundle, judge_proofs
from .checks import PREREQUISITES
from .claims import judge_claims
from .evidence import (
    judge_evidence_accepted, judge_evidence_binding, judge_evidence_chain, judge_evidence_measurement,
)
from .held import judge_nonce, judge_request_bytes, judge_response_bytes
from .keyset import (
    judge_keyset, judge_keyset_binding, judge_keyset_signature, judge_keyset_validity,
)
from .meaning import judge_charge, judge_meaning
from .model import judge_served_model
from .policy import (
    judge_build, judge_configuration, judge_issuer, judge_policy, judge_time, judge_upstreams,
)
from .refusal import NotChecked, Refusal
from .statement import judge_signature, judge_statement

JUDGES = {
    "policy": judge_policy,
    "bundle": judge_bundle,
    "statement": judge_statement,
    "keyset": judge_keyset,
    "keyset-signature": judge_keyset_signature,
    "keyset-binding": judge_keyset_binding,
    "signature": judge_signature,
    "keyset-validity": judge_keyset_validity,
    "time": judge_time,
    "issuer": judge_issuer,
    "claims": judge_claims,
    "meaning": judge_meaning,
    "charge": judge_charge,
    "served-model": judge_served_model,
    "evidence-chain": judge_evidence_chain,
    "evidence-binding": judge_evidence_binding,
    "evidence-measurement": judge_evidence_measurement,
    "evidence-accepted": judge_evidence_accepted,
    "nonce": judge_nonce,
    "request-bytes": judge_request_bytes,
    "response-bytes": judge_response_bytes,
    "proofs": judge_proofs,
    "build": judge_build,
    "configuration": judge_configuration,
    "upstreams": judge_upstreams,
}
IDS = list(PREREQUISITES)
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
    if any(statuses[check] != "passed" for check in IDS[14:18]):
        return "L0"
    level = "L2" if statuses["build"] == "passed" else "L1"
    return f"{level}-SIMULATED" if call.bundle.evidence[0]["kind"] == "simulated" else level

def verify(bundle_bytes, policy_bytes, now, request=None, response=None, is_prefix=False, nonce=None):
    call = SimpleNamespace(bundle_bytes=bundle_bytes, policy_bytes=policy_bytes, now=now, root=None)
    call.held_request, call.held_response, call.held_nonce = request, response, nonce
    call.held_is_prefix = is_prefix
    statuses, checks = {}, []
    for check, prerequisites in PREREQUISITES.items():
        statuses[check], detail = run_check(call, prerequisites, JUDGES[check], statuses)
        checks.append([check, statuses[check], detail])
    return {"verdict": verdict_of(call, statuses), "level": level_of(call, statuses), "checks": checks}
