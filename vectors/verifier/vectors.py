"""Runs the vectors (README.md beside this package) and judges cases from standard input."""

import base64
import json
import sys
from hashlib import sha256
from pathlib import Path

from .answer import verify_answer
from .bill import judge_bill
from .cbor import decode_cbor, encode_cbor
from .codes import given_codes
from .evidencesets import judge_set
from .platforms import appraise_case, expand, expand_cases, judged_cases
from .jsontext import parse_base64
from .operatorterms import judge_terms
from .policy import BUILT_IN
from .refusal import Refusal
from .sealed import open_sealed
from .signedpolicy import open_signed_policy
from .verdict import verify

VECTORS = Path(__file__).resolve().parent.parent

def verify_case(case):
    policy, held = case["policy"], case.get("held", {})
    return verify(
        parse_base64(case["bundle"]) + b" " * case.get("trailingSpaces", 0),
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

def open_case(case):
    signers = [bytes.fromhex(key) for key in case["signers"]]
    try:
        policy = open_signed_policy(parse_base64(case["policy"]), signers, case["now"], case.get("issuedFrom", 0))
    except Refusal as refusal:
        return {"code": refusal.args[0]}
    return {"digest": sha256(policy).hexdigest()}

def terms_case(case):
    data = parse_base64(case["terms"])
    try:
        judge_terms(data)
    except Refusal as refusal:
        return {"code": refusal.args[0]}
    return {"digest": sha256(data).hexdigest()}

def answer_case(case):
    policy, share_key = case["policy"], case.get("sharePrivateKey")
    return verify_answer(
        parse_base64(case["answer"]),
        parse_base64(policy[4:]) if policy.startswith("b64:") else BUILT_IN[policy],
        case["now"],
        bytes.fromhex(case["nonce"]),
        None if share_key is None else bytes.fromhex(share_key),
    )

def bill_case(case):
    charge, claims = (decode_cbor(parse_base64(case[name])) for name in ("charge", "claims"))
    return judge_bill(charge, claims, case["isWhole"])

def expand_sets(cases):
    """Cases of sets with their data, which is stored whole or by its difference to that of an earlier case."""
    found = []
    for case in cases:
        found.append({**case, "data": expand(case["data"], lambda at: found[at]["data"])})
    return found

def set_case(case):
    report_data, policy = case.get("reportData"), parse_base64(case["policy"])
    known = None if report_data is None else bytes.fromhex(report_data)
    try:
        return judge_set(case["data"], policy, case["asOf"], case.get("knownSince"), known)
    except Refusal as refusal:
        return {"code": refusal.args[0]}

def sealed_case(case):
    outcome = open_sealed(case)
    if "content" in outcome:
        outcome["content"] = base64.urlsafe_b64encode(outcome["content"]).decode().rstrip("=")
    return outcome

def by_name(outcome):
    """A verdict as one entry per check and member, to show where two of them differ."""
    members = {name: value for name, value in outcome.items() if name != "checks"}
    return {**members, **{check: detail for check, *detail in outcome.get("checks", [])}}

def difference(expected, got):
    wanted, found = by_name(expected), by_name(got)
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    lines = [f"    {name}: expected {wanted.get(name)}, got {found.get(name)}" for name in names]
    return "\n".join(lines) or f"    expected {expected}, got {got}"

def judge_cases(name, cases, judge):
    """How many cases passed and failed; says which failed, and where the outcomes differ."""
    if not cases:
        print(f"FAILED {name}: missing or without cases")
        return 0, 1
    failed = 0
    for case in cases:
        got = judge(case)
        if got != case["expect"] or got == {"ok": False}:
            failed += 1
            print(f"FAILED {name}: {case['name']} ({case['clause']})")
            print(difference(case["expect"], got))
    return len(cases) - failed, failed

def expected_codes(cases):
    """The codes and reasons that the cases expect."""
    outcomes = [case["expect"] for case in cases]
    outcomes += [piece for outcome in outcomes for piece in outcome.get("pieces", [])]
    whole = {outcome[name] for outcome in outcomes for name in ("code", "reason") if name in outcome}
    return whole | {detail for outcome in outcomes for _, _, detail in outcome.get("checks", [])}

def judge_coverage(cases):
    """How many of the verifier's codes and reasons no case expects; says which."""
    codes = given_codes()
    missing = sorted(codes - expected_codes(cases))
    for code in missing:
        print(f"FAILED codes: no case expects {code}")
    if not codes:
        print("FAILED codes: the verifier's source has none")
        return 1
    return len(missing)

def judge_evidence_vectors():
    """The results and the cases of the files of evidence that hold cases of known platforms."""
    results, every, left_out = [], [], 0
    for path in sorted((VECTORS / "attestation").glob("*.json")):
        cases, others = judged_cases(json.loads(path.read_text(encoding="utf-8")))
        left_out += others
        results += [judge_cases(f"attestation/{path.name}", cases, appraise_case)] if cases else []
        every += cases
    print(f"not judged: {left_out} cases of TPMs")
    return results or [(0, 1)], every

def judge_vectors():
    results, every = judge_evidence_vectors()
    files = (
        ("attestations.json", answer_case), ("bills.json", bill_case), ("bundles.json", verify_case),
        ("cbor.json", decode_case), ("evidence-sets.json", set_case), ("operator-terms.json", terms_case), ("sealed.json", sealed_case), ("signed-policies.json", open_case),
    )
    for name, judge in files:
        path = VECTORS / name
        cases = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        cases = expand_sets(cases) if judge is set_case else cases
        results.append(judge_cases(name, cases, judge))
        every += cases
    results.append((0, judge_coverage(every)))
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0

def judge_line(line):
    """A case of any file but cbor, operator-terms and signed-policies.json; of files of evidence with all byte strings whole."""
    case = json.loads(line)
    if "platform" in case:
        return appraise_case(expand_cases([case])[0])
    if "data" in case:
        return set_case(expand_sets([case])[0])
    by_member = (("answer", answer_case), ("charge", bill_case), ("body", sealed_case), ("bundle", verify_case))
    return next(judge for member, judge in by_member if member in case)(case)

def main(arguments):
    if arguments == ["--stdin"]:
        for line in sys.stdin:
            print(json.dumps(judge_line(line), separators=(",", ":")), flush=True)
        return 0
    if arguments:
        print("usage: verify.py [--stdin]", file=sys.stderr)
        return 64
    return judge_vectors()
