"""AMD SEV-SNP (AT6)."""

from types import SimpleNamespace

from .appraisal import Run, need
from .der import IA5, DerReader, oid
from .refusal import demand
from .x509 import (
    check_dates, check_issuance, check_list, check_not_revoked, check_root, check_signer, common_name,
    parse_certificate, parse_list, verify_raw,
)

REPORT_BYTES, SIGNED_BYTES = 1184, 0x2A0
PRODUCTS = {"Milan": "Milan", "Genoa": "Genoa", "Bergamo": "Genoa", "Siena": "Genoa", "Turin": "Turin"}
OLD_PLACES = {0: "3.1", 1: "3.2", 6: "3.3", 7: "3.8"}
TURIN_PLACES = {0: "3.9", 1: "3.1", 2: "3.2", 3: "3.3", 7: "3.8"}

def little(raw, at, size):
    return int.from_bytes(raw[at : at + size], "little")

def product_of(family, model):
    """AT6.2"""
    if family == 0x19 and model < 0x10:
        return "Milan"
    if family == 0x19 and (model < 0x20 or 0xA0 <= model < 0xB0):
        return "Genoa"
    demand(family == 0x1A and model < 0x12, "snp-product-unknown")
    return "Turin"

def parse_report(raw):
    """AT6.1"""
    demand(len(raw) == REPORT_BYTES, "snp-malformed")
    version, policy = little(raw, 0, 4), little(raw, 8, 8)
    demand(2 <= version <= 5, "snp-version-unsupported")
    signing_key = little(raw, 0x48, 4) >> 2 & 7
    demand(policy >> 17 & 1 and policy >> 26 == 0, "snp-malformed")
    demand(little(raw, 0x30, 4) <= 3 and little(raw, 0x34, 4) == 1 and signing_key <= 1, "snp-malformed")
    r, s = raw[0x2A0:0x2E8], raw[0x2E8:0x330]
    demand(not any(r[48:] + s[48:] + raw[0x330:]), "snp-malformed")
    return SimpleNamespace(
        policy=policy, is_vlek=signing_key == 1, tcb=raw[0x180:0x188], chip=raw[0x1A0:0x1E0],
        product=product_of(raw[0x188], raw[0x189]) if version > 2 else None,
        signed=raw[:SIGNED_BYTES], signature=r[47::-1] + s[47::-1],
    )

def vek_extension(vek, suffix):
    found = vek.extensions.get(oid(f"1.3.6.1.4.1.3704.1.{suffix}"))
    return None if found is None else found[1]

def single(data, tag):
    """The content of the only value there, or the number in it."""
    fields = DerReader(data, "certificate-malformed")
    value = fields.take(IA5) if tag == IA5 else fields.number()
    fields.end()
    return value

def check_endorsement(report, ark, ask, vek):
    """AT6.3 to AT6.5"""
    named = vek_extension(vek, "2")
    demand(named is not None, "snp-product-mismatch")
    stem = single(named, IA5).split(b"-")[0].decode("latin-1")
    product = PRODUCTS.get(stem)
    demand(product is not None and report.product in (None, product), "snp-product-mismatch")
    demand(common_name(ark.subject) == f"ARK-{product}", "snp-product-mismatch")
    role = "SEV-VLEK-" if report.is_vlek else "SEV-"
    demand(common_name(ask.subject) == role + product, "snp-product-mismatch")
    for at, suffix in (TURIN_PLACES if product == "Turin" else OLD_PLACES).items():
        value = vek_extension(vek, suffix)
        demand(value is not None and single(value, None) == report.tcb[at], "snp-tcb-mismatch")
    hardware, provider = vek_extension(vek, "4"), vek_extension(vek, "5")
    if report.is_vlek:
        demand(provider is not None and hardware is None, "snp-chip-mismatch")
        return
    demand(provider is None and hardware is not None and any(report.chip), "snp-chip-mismatch")
    demand(len(hardware) == (8 if product == "Turin" else 64), "snp-chip-mismatch")
    demand(hardware.ljust(64, b"\0") == report.chip, "snp-chip-mismatch")

def judge_root(run, roots):
    ark = parse_certificate(run.piece("ark"))
    check_root([ark], roots)
    return ark

def judge_chain(run, report, ark):
    chain = [ark, parse_certificate(run.piece("ask")), parse_certificate(run.piece("vek"))]
    check_issuance(chain)
    check_signer(chain[2])
    check_endorsement(report, *chain)
    return chain

def judge_revocation(run, chain, as_of):
    """AT6.7"""
    listed = parse_list(run.piece("crl"))
    check_list(listed, chain[0], as_of)
    check_not_revoked(listed, chain[1], as_of)

def judge_signature(report, vek):
    """AT6.6"""
    is_right = vek.key[:2] == ("EC", "P-384") and verify_raw(
        vek.key, ("ECDSA", "SHA-384"), report.signature, report.signed
    )
    demand(is_right, "evidence-signature-invalid")

def judge_debug(report):
    """AT6.8"""
    demand(not report.policy >> 19 & 1, "debug-enabled")

def judge_configuration(report):
    """AT6.8"""
    demand(not report.policy >> 18 & 1, "migration-enabled")

def appraise_snp(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    report = run.check("format", lambda: parse_report(raw))
    ark = run.check("root", lambda: need(report) and judge_root(run, roots))
    chain = run.check("chain", lambda: judge_chain(run, need(report), need(ark)))
    run.check("validity", lambda: check_dates(need(chain), as_of))
    run.check("revocation", lambda: judge_revocation(run, need(chain), as_of))
    run.check("signature", lambda: judge_signature(need(report), need(chain)[2]))
    run.check("debug", lambda: judge_debug(need(report)))
    run.check("configuration", lambda: judge_configuration(need(report)))
    return run.checks
