"""The cases of vectors/attestation/ (README.md there): which are judged, and how they are stored."""

from .azure import appraise_azure
from .dcap import appraise_dcap
from .gpu import appraise_gpu
from .jsontext import parse_base64
from .nitro import appraise_nitro
from .snp import appraise_snp
from .tokens import appraise_token

APPRAISERS = {
    "amd-sev-snp": appraise_snp,
    "amd-sev-snp-azure": appraise_azure,
    "aws-nitro": appraise_nitro,
    "aws-nitrotpm": appraise_nitro,
    "azure-attestation": appraise_token,
    "google-confidential-space": appraise_token,
    "intel-sgx": appraise_dcap,
    "intel-tdx": appraise_dcap,
    "intel-tdx-azure": appraise_azure,
    "nvidia-gpu": appraise_gpu,
    "nvidia-remote-attestation": appraise_token,
}

def expand(stored, earlier):
    """A byte string that is stored whole, or by its difference to that of an earlier case."""
    if type(stored) is str:
        return parse_base64(stored)
    at, start, end, put = stored
    known = earlier(at)
    return known[:start] + parse_base64(put) + known[end:]

def expand_cases(cases):
    """The cases with their byte strings, in the same order."""
    found = []
    for case in cases:
        collateral = {
            name: expand(stored, lambda at: found[at]["collateral"][name])
            for name, stored in case["collateral"].items()
        }
        raw = expand(case["raw"], lambda at: found[at]["raw"])
        found.append({**case, "raw": raw, "collateral": collateral})
    return found

UNJUDGED = frozenset({"tpm"})

def judged_cases(cases):
    """Those that are for this verifier, and how many are not. A platform of neither kind is an error."""
    unknown = {case["platform"] for case in cases} - APPRAISERS.keys() - UNJUDGED
    if unknown:
        raise ValueError(f"unknown platforms: {sorted(unknown)}")
    judged = [case for case in expand_cases(cases) if case["platform"] in APPRAISERS]
    return judged, len(cases) - len(judged)

def appraise_case(case):
    appraise = APPRAISERS[case["platform"]]
    checks = appraise(case["platform"], case["raw"], case["collateral"], case["asOf"], case["roots"])
    return {"checks": checks}
