"""Intel SGX and TDX (AT7)."""

from hashlib import sha256

from .appraisal import Run, need
from .der import OCTETS, OID, SEQUENCE, oid, open_der
from .pem import parse_pem
from .quote import parse_quote
from .refusal import demand
from .statements import parse_qe_identity, parse_tcb_info
from .x509 import (
    check_dates, check_issuance, check_list, check_not_revoked, check_root, check_signer, parse_certificate,
    parse_list, verify_raw,
)

P256 = ("ECDSA", "SHA-256")
PCK = "1.2.840.113741.1.13.1"
TD_KNOWN = 1 | 0b11111 << 27 | 1 << 63
XFAM_KNOWN = 0x6DBE7

def parse_chain(pem, length):
    """Root first."""
    chain = [parse_certificate(block) for block in parse_pem(pem)][::-1]
    demand(len(chain) == length, "chain-length")
    return chain

def signed_by(certificate, signature, message):
    return certificate.key[:2] == ("EC", "P-256") and verify_raw(certificate.key, P256, signature, message)

def read_values(fields):
    """{identifier: reader of the value}, each identifier once."""
    found = {}
    while fields.peek() is not None:
        entry = fields.open(SEQUENCE)
        identifier = entry.take(OID)
        demand(identifier not in found, "pck-malformed")
        found[identifier] = entry
    return found

def take_value(values, suffix):
    demand(oid(f"{PCK}.{suffix}") in values, "pck-malformed")
    return values[oid(f"{PCK}.{suffix}")]

def take_octets(values, suffix, size):
    content = take_value(values, suffix).take(OCTETS)
    demand(len(content) == size, "pck-malformed")
    return content.hex()

def parse_pck(certificate):
    """AT7.3: FMSPC, PCEID, PCESVN and the components."""
    demand(oid(PCK) in certificate.extensions, "pck-malformed")
    values = read_values(open_der(certificate.extensions[oid(PCK)][1], "pck-malformed"))
    tcb = read_values(take_value(values, "2").open(SEQUENCE))
    svns = [take_value(tcb, f"2.{place}").number() for place in range(1, 18)]
    take_octets(values, "1", 16)
    return take_octets(values, "4", 6), take_octets(values, "3", 2), svns[16], svns[:16]

def open_statement(run, name, parse, roots):
    """AT7.4: what a signer under the root of the processor said, and its chain."""
    data, signature = run.piece(name), run.piece(f"{name}-signature")
    chain = parse_chain(run.piece(f"{name}-chain"), 2)
    check_root(chain, roots)
    check_issuance(chain)
    check_signer(chain[1])
    demand(signed_by(chain[1], signature, data), "collateral-signature-invalid")
    return parse(data), chain

def judge_format(platform, raw):
    quote = parse_quote(raw)
    demand(quote.is_tdx == (platform == "intel-tdx"), "quote-platform-mismatch")
    return quote

def judge_root(quote, roots):
    chain = parse_chain(quote.pem, 3)
    check_root(chain, roots)
    return chain

def judge_chain(run, quote, chain):
    check_issuance(chain)
    check_signer(chain[2])
    pck = parse_pck(chain[2])
    own = {chain[0].digest}
    info = open_statement(run, "tcb-info", parse_tcb_info, own)
    identity = open_statement(run, "qe-identity", parse_qe_identity, own)
    demand(info[0]["id"] == ("TDX" if quote.is_tdx else "SGX"), "collateral-malformed")
    demand(identity[0]["id"] == ("TD_QE" if quote.is_tdx else "QE"), "collateral-malformed")
    return chain, pck, info, identity

def judge_validity(endorsed, as_of):
    check_dates(endorsed[0], as_of)
    for content, chain in endorsed[2:]:
        check_dates(chain, as_of)
        demand(as_of >= content["from"], "collateral-not-yet-valid")
        demand(as_of <= content["to"], "collateral-expired")

def judge_revocation(run, endorsed, as_of):
    """AT7.5"""
    (root, authority, processor), _, (_, info_chain), (_, identity_chain) = endorsed
    signers = (info_chain[1], identity_chain[1])
    for name, issuer, issued in (("root-crl", root, (authority, *signers)), ("pck-crl", authority, (processor,))):
        listed = parse_list(run.piece(name))
        check_list(listed, issuer, as_of)
        for certificate in issued:
            check_not_revoked(listed, certificate, as_of)

def judge_signature(quote, chain):
    """AT7.6"""
    demand(signed_by(chain[2], quote.qe_signature, quote.qe_report), "evidence-signature-invalid")
    expected = sha256(quote.key + quote.qe_auth).digest() + bytes(32)
    demand(quote.qe_report[320:] == expected, "quote-key-mismatch")
    key = ("EC", "P-256", b"\4" + quote.key)
    demand(verify_raw(key, P256, quote.signature, quote.signed), "evidence-signature-invalid")

def little(data, at, size):
    return int.from_bytes(data[at : at + size], "little")

def judge_debug(quote):
    """AT7.11"""
    is_debug = quote.body[120] & 1 if quote.is_tdx else quote.body[48] & 2
    demand(not is_debug, "debug-enabled")

def judge_configuration(quote):
    """AT7.11"""
    if not quote.is_tdx:
        return
    attributes, xfam = little(quote.body, 120, 8), little(quote.body, 128, 8)
    demand(not attributes & ~TD_KNOWN and xfam & 3 == 3 and not xfam & ~XFAM_KNOWN, "td-attributes")
    demand(not attributes >> 29 & 1, "migration-enabled")

def under_mask(a, b, mask):
    return all((x ^ y) & bits == 0 for x, y, bits in zip(a, b, mask, strict=True))

def find_level(levels, svn):
    demand(any(svn >= least for least in levels), "tcb-level-missing")

def judge_qe(report, identity):
    """AT7.7"""
    is_intels = (
        report[128:160].hex() == identity["mrsigner"]
        and little(report, 256, 2) == identity["prodid"]
        and under_mask(report[16:20], identity["misc"], identity["miscmask"])
        and under_mask(report[48:64], identity["attributes"], identity["mask"])
        and not report[48] & 2
    )
    demand(is_intels, "qe-identity-mismatch")
    find_level(identity["levels"], little(report, 258, 2))

def judge_module(body, info):
    """AT7.8"""
    version = body[1]
    module = info["modules"].get(f"TDX_{version:02X}") if version else info["module"]
    is_intels = (
        module is not None
        and body[64:112].hex() == module["mrsigner"]
        and under_mask(body[112:120], module["attributes"], module["mask"])
    )
    demand(is_intels, "tdx-module-mismatch")
    if version:
        find_level(module["levels"], body[0])

def judge_platform(quote, pck, info):
    """AT7.9"""
    fmspc, pceid, pcesvn, svns = pck
    demand(fmspc == info["fmspc"] and pceid == info["pceid"], "tcb-platform-mismatch")
    start = 2 if quote.is_tdx and quote.body[1] else 0

    def reaches(level):
        sgx, tdx, least = level
        return (
            pcesvn >= least
            and all(svn >= need for svn, need in zip(svns, sgx))
            and (not quote.is_tdx or all(svn >= need for svn, need in zip(quote.body[start:16], tdx[start:])))
        )

    demand(any(map(reaches, info["levels"])), "tcb-level-missing")

def judge_tcb(quote, endorsed):
    """AT7.10: known, the state is for the policy to judge."""
    _, pck, (info, _), (identity, _) = endorsed
    judge_qe(quote.qe_report, identity)
    if quote.is_tdx:
        judge_module(quote.body, info)
    judge_platform(quote, pck, info)

def appraise_dcap(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    quote = run.check("format", lambda: judge_format(platform, raw))
    chain = run.check("root", lambda: judge_root(need(quote), roots))
    endorsed = run.check("chain", lambda: judge_chain(run, need(quote), need(chain)))
    run.check("validity", lambda: judge_validity(need(endorsed), as_of))
    run.check("revocation", lambda: judge_revocation(run, need(endorsed), as_of))
    run.check("signature", lambda: judge_signature(need(quote), need(chain)))
    run.check("debug", lambda: judge_debug(need(quote)))
    run.check("configuration", lambda: judge_configuration(need(quote)))
    if run.check("tcb", lambda: judge_tcb(need(quote), need(endorsed))):
        run.checks.pop()
    return run.checks
