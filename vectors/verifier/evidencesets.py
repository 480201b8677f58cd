"""Several pieces of evidence (AT19), each judged by a policy (AT8). Claims of four platforms are read here."""

import re
from hashlib import sha256
from types import SimpleNamespace

from .appraisal import Run, absent
from .azure import PARTS
from .cbor import decode_cbor
from .jsontext import parse_json
from .nitro import parse_document
from .platforms import APPRAISERS
from .refusal import NotChecked, Refusal, demand
from .shapes import any_octets, exactly, octets, record
from .snp import OLD_PLACES, TURIN_PLACES, little, parse_report
from .tpmquote import TpmReader, parse_measured_log, parse_quote, read_map

EVIDENCE_BYTES, PIECES = 1_048_576, 8
CHECKS = [
    "format", "root", "chain", "validity", "revocation", "signature", "debug", "configuration", "platform", "tcb",
    "binding", "freshness", "key-confirmation", "measurement", "machine",
]
GENERAL = {
    "format", "root", "chain", "validity", "signature", "debug", "configuration", "platform", "binding", "measurement",
}
PROTECTIONS = (("rapl-on", 3), ("ciphertext-visible", 4), ("no-alias-check", 5))
REQUIRED = {"amd-sev-snp": {"tcb"}, "amd-sev-snp-azure": {"tcb"}}
TIERS = ["production", "service", "simulated"]
AMD = {
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
}
AWS = {"641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"}
VENDOR_ROOTS = {"amd-sev-snp": AMD, "amd-sev-snp-azure": AMD, "aws-nitro": AWS, "aws-nitrotpm": AWS}
COMPONENTS = {"3.1": "bootloader", "3.2": "tee", "3.3": "snp", "3.8": "microcode", "3.9": "fmc"}
NAME = re.compile(r"[a-z0-9-]{1,64}")
SEVERAL = record({1: exactly(1), 2: lambda value: type(value) is dict and 1 <= len(value) <= PIECES})
PIECE = record({1: exactly(1), 2: octets(1, 65_536), 3: lambda value: type(value) is dict and len(value) <= 32})

def decode_shaped(data, shape):
    try:
        value = decode_cbor(data, EVIDENCE_BYTES)
    except Refusal:
        raise Refusal("evidence-malformed") from None
    demand(shape(value), "evidence-malformed")
    return value

def parse_piece(platform, data):
    """AT1.2"""
    demand(platform in APPRAISERS or platform == "tpm", "evidence-malformed")
    demand(any_octets(data), "evidence-malformed")
    value = decode_shaped(data, PIECE)
    for name, held in value[3].items():
        demand(type(name) is str and NAME.fullmatch(name) and octets(0, 262_144)(held), "evidence-malformed")
    return platform, value[2], value[3]

def parse_set(data):
    """AT19.1"""
    return [parse_piece(name, held) for name, held in decode_shaped(data, SEVERAL)[2].items()]

def parse_policy(data):
    """AT8.1, AT8.2 of a policy that is well formed: this verifier does not judge its form."""
    policy = parse_json(data)
    policy["platforms"] = {asked["platform"]: asked for asked in policy["platforms"]}
    for platform, asked in policy["platforms"].items():
        listed = asked["roots"]
        tiers = {root: tier for tier in ("service", "simulated") for root in listed.get(tier, [])}
        for root in VENDOR_ROOTS.get(platform, ()):
            tiers.pop(root, None)
            if listed["vendor"]:
                tiers[root] = "production"
        asked["tiers"] = tiers
    return policy

def snp_claims(report_bytes, collateral, ended):
    """AT6.9; nothing but what evidence with a root and a chain says of them."""
    report = parse_report(report_bytes)
    info, vmpl = little(report_bytes, 0x40, 8), little(report_bytes, 0x30, 4)
    settings = ["smt-allowed"] if report.policy >> 16 & 1 else []
    settings += [name for name, bit in PROTECTIONS if not info >> bit & 1]
    places = TURIN_PLACES if report.product == "Turin" else OLD_PLACES
    versions = {
        COMPONENTS[suffix]: min(report_bytes[start + at] for start in (0x180, 0x1E0, 0x1F0))
        for at, suffix in places.items()
    }
    return SimpleNamespace(
        root=sha256(collateral["ark"]).hexdigest() if ended["root"] == "passed" else "",
        bound=lambda data: report_bytes[0x50:0x90] == data,
        measurements={"measurement": report_bytes[0x90:0xC0].hex(), "host-data": report_bytes[0xC0:0xE0].hex()},
        tcb=(report.product, versions) if ended["chain"] == "passed" else None, has_tcb=True,
        machine=report.chip.hex() if any(report.chip) else None, time=None,
        settings=settings + ([f"vmpl-{vmpl}"] if vmpl else []),
    )

def quote_claims(quote, log):
    """AT15.11: what is bound, and what was measured."""
    reader = TpmReader(quote.attest)
    reader.take(6)
    reader.sized(66)
    extra = reader.sized(66)
    bitmap = sum(1 << pcr for pcr in quote.pcrs).to_bytes(3, "little")
    events = {name: digest.hex() for name, digest in log[1]} if log else {}
    registers = {f"pcr{pcr}": value.hex() for pcr, value in quote.pcrs.items()}
    return extra, {"selection": bitmap.hex(), **registers, **events}

def azure_claims(raw, collateral, ended):
    """AT18.7, where the statement says that console and secure boot are as they should be."""
    parts = read_map(raw, 65_536, PARTS)
    claims = snp_claims(parts[2], collateral, ended)
    configuration = parse_json(parts[3])["vm-configuration"]
    log = collateral.get("tpm-measured-log")
    extra, measured = quote_claims(parse_quote(parts[4]), log and parse_measured_log(log))
    claims.bound = lambda data: extra == sha256(data).digest()
    claims.measurements |= measured
    claims.settings += [] if configuration.get("console-enabled") is False else ["console-enabled"]
    claims.settings += [] if configuration.get("secure-boot") is True else ["secure-boot-off"]
    return claims

def nitro_claims(platform, raw):
    """AT9.9"""
    document = parse_document(platform, raw)
    return SimpleNamespace(
        root=document.chain[0].digest, bound=lambda data: document.user_data == data,
        measurements={f"pcr{at}": value.hex() for at, value in document.pcrs.items()}, tcb=None, has_tcb=False,
        machine=document.instance, time=document.timestamp, settings=[],
    )

def claims_of(platform, raw, collateral, ended):
    if ended["format"] != "passed":
        return None
    if platform == "amd-sev-snp":
        return snp_claims(raw, collateral, ended)
    if platform == "amd-sev-snp-azure":
        return azure_claims(raw, collateral, ended)
    if platform in ("aws-nitro", "aws-nitrotpm"):
        return nitro_claims(platform, raw)
    raise ValueError(f"claims of {platform} are not read here")

def known(value):
    if value is None:
        raise NotChecked("blocked")
    return value

def judge_platform(claims, asked):
    """AT8.5"""
    demand(claims.root in asked["tiers"], "root-not-allowed")
    demand(set(claims.settings) <= set(asked.get("settings", [])), "setting-not-allowed")

def judge_tcb(claims, asked):
    """AT8.7"""
    if not claims.has_tcb:
        absent()
    product, versions = known(claims.tcb)
    lowest = asked.get("minVersions", {}).get(product)
    demand(lowest is not None, "tcb-version-not-allowed")
    demand(all(versions.get(name, -1) >= least for name, least in lowest.items()), "tcb-version-not-allowed")

def judge_binding(claims, report_data):
    """AT8.8"""
    if report_data is None:
        raise NotChecked("not-given")
    demand(claims.bound(report_data), "binding-mismatch")

def judge_freshness(time, policy, as_of):
    """AT8.9"""
    if time is None:
        raise NotChecked("not-given")
    demand(time <= as_of + policy["maxClockSkewMs"], "evidence-in-future")
    oldest = policy["maxAgeMs"]
    demand(oldest is None or time >= as_of - oldest, "evidence-age-not-allowed")

def judge_keys():
    raise NotChecked("not-given")

def judge_measurement(claims, asked):
    """AT8.10"""
    found = any(entry.items() <= claims.measurements.items() for entry in asked["measurements"])
    demand(found, "measurement-not-allowed")

def judge_machine(claims, machines):
    """AT8.10"""
    if machines == "any":
        raise NotChecked("any-allowed")
    demand(claims.machine in machines, "machine-not-allowed")

def conclude(platform, checks, asked, policy):
    """AT1.8"""
    failed = [detail for _, status, detail in checks if status == "failed"]
    if any(not code.endswith("-not-allowed") for code in failed):
        return "invalid"
    if failed:
        return "not-allowed"
    passed = {name for name, status, _ in checks if status == "passed"}
    settled = passed | {name for name, _, detail in checks if detail == "platform-has-none"}
    by_age = set() if policy["maxAgeMs"] is None else {"freshness"}
    required = REQUIRED.get(platform, set()) | set(asked["require"]) | by_age
    return "valid" if GENERAL <= settled and required <= passed else "incomplete"

def judge_piece(piece, policy, as_of, known_since, report_data):
    platform, raw, collateral = piece
    asked = policy["platforms"].get(platform)
    if asked is None:  # AT19.3
        return {
            "platform": platform, "verdict": "not-allowed", "tier": "",
            "checks": [["platform", "failed", "platform-not-allowed"]],
        }
    roots = VENDOR_ROOTS.get(platform, set()) | asked["tiers"].keys()
    appraised = APPRAISERS[platform](platform, raw, collateral, as_of, roots)
    ended = {name: status for name, status, _ in appraised}
    claims = claims_of(platform, raw, collateral, ended)
    run = Run(collateral)
    run.check("platform", lambda: judge_platform(known(claims), asked))
    run.check("tcb", lambda: judge_tcb(known(claims), asked))
    run.check("binding", lambda: judge_binding(known(claims), report_data))
    run.check("freshness", lambda: judge_freshness(known(claims).time or known_since, policy, as_of))
    run.check("key-confirmation", judge_keys)
    run.check("measurement", lambda: judge_measurement(known(claims), asked))
    run.check("machine", lambda: judge_machine(known(claims), policy["machines"]))
    checks = sorted(appraised + run.checks, key=lambda check: CHECKS.index(check[0]))
    tier = asked["tiers"].get(claims.root, "") if claims else ""
    return {"platform": platform, "verdict": conclude(platform, checks, asked, policy), "tier": tier, "checks": checks}

def rests_on(platform):
    """AT19.4, but for TPMs and tokens, of which none is judged here."""
    vendor = platform.split("-")[0]
    return {vendor, "microsoft"} if platform.endswith("-azure") else {vendor}

def count_vendors(platforms):
    """The most of them of which no two rest on one vendor: every choice is tried."""
    if not platforms:
        return 0
    first, *others = platforms
    free = [each for each in others if not rests_on(each) & rests_on(first)]
    return max(count_vendors(others), 1 + count_vendors(free))

def merge_checks(pieces):
    """AT19.6"""
    found = []
    for name in CHECKS:
        ends = [check for piece in pieces for check in piece["checks"] if check[0] == name]
        open_ends = [end for end in ends if end[1] == "not-checked" and end[2] != "platform-has-none"]
        failed = [end for end in ends if end[1] == "failed"]
        passed = [end for end in ends if end[1] == "passed"]
        found += (failed or open_ends or passed or ends)[:1]
    return found

def judge_set(data, policy_bytes, as_of, known_since, report_data):
    pieces, policy = parse_set(data), parse_policy(policy_bytes)
    judged = [judge_piece(piece, policy, as_of, known_since, report_data) for piece in pieces]
    ends = [piece["verdict"] for piece in judged]
    good = [piece for piece in judged if piece["verdict"] == "valid"]
    reached = []
    for at, tier in enumerate(TIERS):
        strong = [piece["platform"] for piece in good if piece["tier"] in TIERS[: at + 1]]
        reached += [tier] if count_vendors(strong) >= policy["minVendors"] else []
    if "invalid" in ends:
        verdict = "invalid"
    elif reached:
        verdict = "valid"
    else:
        verdict = "not-allowed" if "not-allowed" in ends else "incomplete"
    is_valid = verdict == "valid"
    checks = merge_checks(good if is_valid else judged)
    return {"verdict": verdict, "tier": reached[0] if is_valid else "", "checks": checks, "pieces": judged}
