"""Azure confidential machines (AT18): the report of the hardware, the paravisor's statement, the quote of its TPM."""

from hashlib import sha256
from types import SimpleNamespace

from .appraisal import Run, need
from .dcap import appraise_dcap
from .refusal import NotChecked, Refusal, demand
from .shapes import exactly, octets, record
from .snp import appraise_snp
from .tokens import parse_key_set, strict_json
from .tpmquote import judge_key, judge_quote, parse_measured_log, parse_quote, read_map

PARTS = record({1: exactly(1), 2: octets(1, 16_384), 3: octets(1, 4096), 4: octets(1, 8192)})
# The platform of the hardware, its verifier, and where its report data stands.
HARDWARE = {
    "amd-sev-snp-azure": ("amd-sev-snp", appraise_snp, 0x50),
    "intel-tdx-azure": ("intel-tdx", appraise_dcap, None),
}

def parse_runtime_data(data):
    """AT18.2: the attestation key."""
    value = strict_json(data, "azure-runtime-data")
    demand(type(value) is dict, "azure-runtime-data")
    ak = parse_key_set(data).get("HCLAkPub")
    demand(ak is not None and type(value.get("vm-configuration")) is dict, "azure-runtime-data")
    return ak

def report_data_at(report, at):
    """A quote of version 5 has six bytes more before its body."""
    start = at if at is not None else 48 + (6 if report[0] == 5 else 0) + 520
    return report[start : start + 64]

def repeat(checks, name):
    """A check ends as it ended for the hardware."""
    for check, status, detail in checks:
        if check == name and status != "passed":
            raise (Refusal if status == "failed" else NotChecked)(detail)

def parse_parts(platform, raw, collateral, as_of, roots):
    """AT18.1"""
    parts = read_map(raw, 65_536, PARTS)
    inner, appraise, at = HARDWARE[platform]
    checks = appraise(inner, parts[2], collateral, as_of, roots)
    quote = parse_quote(parts[4])
    if "tpm-boot-log" in collateral:
        raise ValueError("boot logs are not judged here")
    log = parse_measured_log(collateral["tpm-measured-log"]) if "tpm-measured-log" in collateral else None
    ak = parse_runtime_data(parts[3])
    repeat(checks, "format")
    return SimpleNamespace(
        checks=checks, quote=quote, log=log, ak=ak, claims=parts[3], report=parts[2],
        report_data=report_data_at(parts[2], at),
    )

def judge_signature(parts):
    """AT18.3, AT18.4"""
    repeat(parts.checks, "signature")
    demand(parts.report_data == sha256(parts.claims).digest() + bytes(32), "azure-runtime-data")
    demand(parts.quote.ak.key == parts.ak, "azure-key-mismatch")
    judge_quote(parts.quote, parts.log)

def judge_configuration(platform, parts):
    """AT18.5"""
    repeat(parts.checks, "configuration")
    is_guest = platform == "amd-sev-snp-azure" and any(parts.report[0x30:0x34])
    demand(not is_guest, "azure-paravisor")
    judge_key(parts.quote)

def appraise_azure(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    parts = run.check("format", lambda: parse_parts(platform, raw, collateral, as_of, roots))
    for name in ("root", "chain", "validity", "revocation"):
        run.check(name, lambda: repeat(need(parts).checks, name))
    run.check("signature", lambda: judge_signature(need(parts)))
    run.check("debug", lambda: repeat(need(parts).checks, "debug"))
    run.check("configuration", lambda: judge_configuration(platform, need(parts)))
    tcb = [check for check in need(parts).checks if check[0] == "tcb"] if parts else []
    return run.checks + tcb
