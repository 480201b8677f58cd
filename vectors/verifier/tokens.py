"""Tokens of services that judge evidence themselves (AT11 to AT14)."""

import base64
import json
import re
from hashlib import sha256
from types import SimpleNamespace

from .appraisal import Run, absent, need
from .der import INTEGER, SEQUENCE, open_der
from .jsontext import parse_base64, parse_json
from .refusal import Refusal, demand
from .shapes import text, uint
from .x509 import WIDTHS, parse_key, verify_raw

LEAD_MS = 60_000  # AT11.5
TOKEN_BYTES, KEY_SET_BYTES, MOST_KEYS, MOST_DEVICES = 65_536, 262_144, 64, 16
SCHEMES = {"RS256": ("PKCS1", "SHA-256"), "ES384": ("ECDSA", "SHA-384")}
CLAIM_TEXT = text(1, 1024)
KNOWN_ATTRIBUTES, MIGRATABLE = 1 | 0b11111 << 27 | 1 << 63, 1 << 29  # AT7.11
AZURE_ISSUER = re.compile(r"https://[a-z0-9]{1,64}(?:\.[a-z0-9]{1,16})?\.attest\.azure\.net")
SNP_CLAIMS = [f"x-ms-sevsnpvm-{name}" for name in ("launchmeasurement", "hostdata", "reportdata")]
TDX_CLAIMS = ["tdx_mrtd", *(f"tdx_rtmr{at}" for at in range(4)), "tdx_report_data"]

def strict_base64(value, code):
    demand(type(value) is str, code)
    try:
        return parse_base64(value)
    except Refusal:
        raise Refusal(code) from None

def strict_json(data, code):
    try:
        return parse_json(data)
    except Refusal:
        raise Refusal(code) from None

def json_object(part):
    value = strict_json(strict_base64(part, "token-malformed"), "token-malformed")
    demand(type(value) is dict, "token-malformed")
    return value

def parse_token(data):
    """AT11.1"""
    demand(len(data) <= TOKEN_BYTES and data.isascii(), "token-malformed")
    parts = data.decode().split(".")
    demand(len(parts) == 3, "token-malformed")
    header, claims, signature = json_object(parts[0]), json_object(parts[1]), strict_base64(parts[2], "token-malformed")
    demand(header.keys() <= {"alg", "kid", "typ", "jku"}, "token-malformed")
    demand(text(1, 16)(header.get("alg")) and text(1, 256)(header.get("kid")), "token-malformed")
    return SimpleNamespace(
        algorithm=header["alg"], kid=header["kid"], claims=claims, signature=signature,
        signed=data[: data.rindex(b".")],
    )

def certified_key(chain):
    """AT11.2: the key in the first certificate, of which nothing else is judged."""
    demand(type(chain) is list and chain and type(chain[0]) is str, "token-keys-malformed")
    demand(re.fullmatch("[A-Za-z0-9+/]*={0,2}", chain[0]) and len(chain[0]) % 4 == 0, "token-keys-malformed")
    plain = chain[0].rstrip("=").replace("+", "-").replace("/", "_")
    fields = open_der(strict_base64(plain, "token-keys-malformed"), "token-keys-malformed").open(SEQUENCE)
    for tag in (0xA0, INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE):
        fields.take(tag)
    try:
        return parse_key(fields.whole(SEQUENCE)[0])
    except Refusal:
        raise Refusal("token-keys-malformed") from None

def parse_jwk(jwk):
    """AT11.2"""
    if jwk.get("kty") == "RSA" and "n" in jwk:
        modulus = strict_base64(jwk["n"], "token-keys-malformed")
        exponent = strict_base64(jwk.get("e"), "token-keys-malformed")
        demand(256 <= len(modulus) <= 1024 and modulus[0] and exponent == b"\1\0\1", "token-keys-malformed")
        return "RSA", int.from_bytes(modulus, "big")
    if jwk.get("kty") == "EC" and "x" in jwk:
        x = strict_base64(jwk["x"], "token-keys-malformed")
        y = strict_base64(jwk.get("y"), "token-keys-malformed")
        width = WIDTHS.get(jwk.get("crv")) if type(jwk.get("crv")) is str else None
        demand(len(x) == len(y) == width, "token-keys-malformed")
        return "EC", jwk["crv"], b"\4" + x + y
    return certified_key(jwk.get("x5c"))

def unpadded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")

def thumbprint(key):
    """AT11.3"""
    if key[0] == "RSA":
        modulus = key[1].to_bytes((key[1].bit_length() + 7) // 8, "big")
        members = {"e": "AQAB", "kty": "RSA", "n": unpadded(modulus)}
    else:
        width = WIDTHS[key[1]]
        x, y = key[2][1 : 1 + width], key[2][1 + width :]
        members = {"crv": key[1], "kty": "EC", "x": unpadded(x), "y": unpadded(y)}
    return sha256(json.dumps(members, separators=(",", ":")).encode()).hexdigest()

def parse_key_set(data):
    """AT11.2: {kid: key}"""
    demand(len(data) <= KEY_SET_BYTES, "token-keys-malformed")
    value = strict_json(data, "token-keys-malformed")
    keys = value.get("keys") if type(value) is dict else None
    demand(type(keys) is list and 1 <= len(keys) <= MOST_KEYS, "token-keys-malformed")
    found = {}
    for jwk in keys:
        demand(type(jwk) is dict and type(jwk.get("kid")) is str, "token-keys-malformed")
        demand(jwk["kid"] not in found, "token-keys-malformed")
        found[jwk["kid"]] = parse_jwk(jwk)
    return found

def find(claims, *path):
    for name in path:
        claims = claims.get(name) if type(claims) is dict else None
    return claims

def need_claim(shape, claims, *path):
    value = find(claims, *path)
    demand(shape(value), "token-claim-missing")
    return value

def is_boolean(value):
    return type(value) is bool

def is_hex(value):
    return CLAIM_TEXT(value) and re.fullmatch("(?:[0-9a-f]{2})*", value)

def date_token(token, keys):
    """AT11.2, AT11.5"""
    demand(token.kid in keys, "token-key-unknown")
    token.key = keys[token.kid]
    token.starts = need_claim(uint, token.claims, "iat")
    token.issuer = need_claim(CLAIM_TEXT, token.claims, "iss")
    if "nbf" in token.claims:
        token.starts = max(token.starts, need_claim(uint, token.claims, "nbf"))
    token.ends = need_claim(uint, token.claims, "exp")

def expect(claims, name, *values):
    found = find(claims, name)
    demand(any(type(found) is type(value) and found == value for value in values), "token-claim-refused")

class Workload:
    """AT12"""

    algorithm = "RS256"

    def __init__(self, raw):
        self.tokens = [parse_token(raw)]
        self.claims = self.tokens[0].claims
        nonces = find(self.claims, "eat_nonce")
        listed = nonces if type(nonces) is list else [nonces]
        demand(len(listed) <= 6 and all(map(CLAIM_TEXT, listed)), "token-claim-missing")
        image = need_claim(CLAIM_TEXT, self.claims, "submods", "container", "image_digest")
        demand(re.fullmatch("sha256:[0-9a-f]{64}", image), "token-claim-missing")
        need_claim(CLAIM_TEXT, self.claims, "hwmodel")
        need_claim(CLAIM_TEXT, self.claims, "submods", "gce", "instance_id")

    def is_issuer(self, issuer):
        return issuer == "https://confidentialcomputing.googleapis.com"

    def check_debug(self):
        demand(find(self.claims, "dbgstat") == "disabled-since-boot", "debug-enabled")

    def check_configuration(self):
        demand(find(self.claims, "aud") == "countersign/keyset/v1", "token-audience-mismatch")
        expect(self.claims, "swname", "CONFIDENTIAL_SPACE")
        expect(self.claims, "secboot", True)

class Guest:
    """AT13"""

    algorithm = "RS256"

    def __init__(self, raw):
        self.tokens = [parse_token(raw)]
        self.claims = self.tokens[0].claims
        self.kind = need_claim(CLAIM_TEXT, self.claims, "x-ms-attestation-type")
        demand(self.kind in ("sevsnpvm", "tdxvm"), "token-claim-refused")
        is_snp = self.kind == "sevsnpvm"
        for name in SNP_CLAIMS if is_snp else TDX_CLAIMS:
            need_claim(is_hex, self.claims, name)
        debug = "x-ms-sevsnpvm-is-debuggable" if is_snp else "tdx_td_attributes_debug"
        self.is_debuggable = need_claim(is_boolean, self.claims, debug)
        if is_snp:
            need_claim(uint, self.claims, "x-ms-sevsnpvm-vmpl")
        else:
            attributes = bytes.fromhex(need_claim(is_hex, self.claims, "tdx_td_attributes"))
            self.attributes = int.from_bytes(attributes, "little")

    def is_issuer(self, issuer):
        return AZURE_ISSUER.fullmatch(issuer)

    def check_debug(self):
        demand(not self.is_debuggable, "debug-enabled")

    def check_configuration(self):
        if self.kind == "tdxvm":
            expect(self.claims, "attester_tcb_status", "UpToDate")
            demand(not self.attributes & ~KNOWN_ATTRIBUTES, "td-attributes")
            demand(not self.attributes & MIGRATABLE, "migration-enabled")
        else:
            expect(self.claims, "x-ms-compliance-status", "azure-compliant-cvm", "azure-compliant-uvm")
            is_movable = need_claim(is_boolean, self.claims, "x-ms-sevsnpvm-migration-allowed")
            demand(not is_movable, "migration-enabled")

class Answer:
    """AT14"""

    algorithm = "ES384"

    def __init__(self, raw):
        demand(len(raw) <= TOKEN_BYTES, "token-malformed")
        answer = strict_json(raw, "token-malformed")
        demand(type(answer) is list and len(answer) == 2, "token-malformed")
        head, devices = answer
        demand(type(head) is list and len(head) == 2 and head[0] == "JWT", "token-malformed")
        demand(type(head[1]) is str and type(devices) is dict, "token-malformed")
        demand(1 <= len(devices) <= MOST_DEVICES, "token-malformed")
        demand(all(type(token) is str for token in devices.values()), "token-malformed")
        whole = parse_token(head[1].encode())
        self.devices = {name: parse_token(token.encode()) for name, token in devices.items()}
        self.hashes = {name: sha256(token.encode()).hexdigest() for name, token in devices.items()}
        for device in self.devices.values():
            for name in ("ueid", "hwmodel", "x-nvidia-gpu-driver-version", "x-nvidia-gpu-vbios-version"):
                need_claim(CLAIM_TEXT, device.claims, name)
        self.claims = whole.claims
        self.nonce = need_claim(is_hex, self.claims, "eat_nonce")
        self.tokens = [whole, *self.devices.values()]

    def is_issuer(self, issuer):
        return issuer == "https://nras.attestation.nvidia.com"

    def check_debug(self):
        states = [find(device.claims, "dbgstat") for device in self.devices.values()]
        demand(all(state == "disabled" for state in states), "debug-enabled")

    def check_configuration(self):
        expect(self.claims, "x-nvidia-overall-att-result", True)
        named = {name: ["DIGEST", ["SHA-256", digest]] for name, digest in self.hashes.items()}
        demand(find(self.claims, "submods") == named, "token-submodule-mismatch")
        for device in self.devices.values():
            expect(device.claims, "eat_nonce", self.nonce)
            expect(device.claims, "measres", "success")
            expect(device.claims, "secboot", True)

SERVICES = {
    "google-confidential-space": Workload, "azure-attestation": Guest, "nvidia-remote-attestation": Answer,
}

def judge_format(run, platform, raw):
    said = SERVICES[platform](raw)
    keys = parse_key_set(run.piece("key-set"))
    for token in said.tokens:
        date_token(token, keys)
    return said

def judge_root(said, roots):
    """AT11.3"""
    for token in said.tokens:
        demand(thumbprint(token.key) in roots, "chain-root-untrusted")

def judge_chain(said):
    for token in said.tokens:
        demand(said.is_issuer(token.issuer), "token-issuer-mismatch")

def judge_validity(said, as_of):
    """AT11.5"""
    for token in said.tokens:
        demand(as_of >= token.starts * 1000 - LEAD_MS, "token-not-yet-valid")
        demand(as_of <= token.ends * 1000, "token-expired")

def judge_signature(said):
    """AT11.1, AT11.4"""
    for token in said.tokens:
        demand(token.algorithm == said.algorithm, "token-algorithm")
        is_right = verify_raw(token.key, SCHEMES[said.algorithm], token.signature, token.signed)
        demand(is_right, "evidence-signature-invalid")

def appraise_token(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    said = run.check("format", lambda: judge_format(run, platform, raw))
    run.check("root", lambda: judge_root(need(said), roots))
    run.check("chain", lambda: judge_chain(need(said)))
    run.check("validity", lambda: judge_validity(need(said), as_of))
    run.check("revocation", absent)
    run.check("signature", lambda: judge_signature(need(said)))
    run.check("debug", lambda: need(said).check_debug())
    run.check("configuration", lambda: need(said).check_configuration())
    return run.checks
