"""AWS Nitro Enclaves and NitroTPM (AT9)."""

import re
from hashlib import sha384
from types import SimpleNamespace

from .appraisal import Run, absent, need
from .cbor import CborReader, decode_cbor, encode_cbor
from .refusal import Refusal, demand
from .shapes import any_octets, array, exactly, nullable, octets, record, text, tuple_of, uint
from .x509 import (
    check_dates, check_issuance, check_list, check_not_revoked, check_root, check_signer, parse_certificate,
    parse_list, verify_raw,
)

DOCUMENT_BYTES = 16_384
ES384 = bytes.fromhex("a1013822")
ENVELOPE = tuple_of(exactly(ES384), exactly({}), any_octets, octets(96, 96))
PLATFORMS = {"aws-nitro": ("pcrs", "enc"), "aws-nitrotpm": ("nitrotpm_pcrs", "tpm")}
CERTIFICATE = octets(1, 1024)

class ForeignReader(CborReader):
    """AT9.2: CBOR whose keys are not sorted, and whose arrays and maps can end at a break."""

    def item(self, depth=0, is_key=False):
        opening = self.data[self.position : self.position + 1]
        if is_key or opening not in (b"\x9f", b"\xbf"):
            return super().item(depth, is_key)
        self.position += 1
        demand(depth < 8, "nitro-malformed")
        if opening == b"\xbf":
            return self.map(None, depth + 1)
        result = []
        while not self.ended():
            result.append(self.item(depth + 1))
        return result

    def ended(self):
        found = self.data[self.position : self.position + 1] == b"\xff"
        self.position += found
        return found

    def map(self, count, depth):
        result = {}
        while not self.ended() if count is None else len(result) < count:
            key = self.item(depth, is_key=True)
            demand(key not in result, "nitro-malformed")
            result[key] = self.item(depth)
        return result

def pcrs(value):
    return (
        type(value) is dict
        and {0, 1, 2} <= value.keys()
        and all(type(index) is int and 0 <= index < 32 for index in value)
        and all(map(octets(48, 48), value.values()))
    )

def payload_shape(key):
    required = {
        "module_id": text(1, 256), "digest": exactly("SHA384"), "timestamp": uint, key: pcrs,
        "certificate": CERTIFICATE, "cabundle": array(CERTIFICATE, 1, 9),
    }
    optional = {
        "public_key": nullable(octets(1, 1024)), "user_data": nullable(octets(0, 512)),
        "nonce": nullable(octets(0, 512)),
    }
    return record(required, optional)

def read_payload(data):
    reader = ForeignReader(data)
    value = reader.item()
    demand(reader.position == len(data), "nitro-malformed")
    return value

def parse_document(platform, raw):
    """AT9.1, AT9.2, AT9.6"""
    try:
        envelope = decode_cbor(raw[raw[:1] == b"\xd2" :], DOCUMENT_BYTES)
        demand(ENVELOPE(envelope), "nitro-malformed")
        payload = read_payload(envelope[2])
    except Refusal:
        raise Refusal("nitro-malformed") from None
    key, word = PLATFORMS[platform]
    strange = {"pcrs", "nitrotpm_pcrs"} - {key}
    demand(type(payload) is not dict or not strange & payload.keys(), "nitro-kind-mismatch")
    demand(payload_shape(key)(payload), "nitro-malformed")
    module = re.fullmatch(r"(i-[0-9a-f]{8,32})-(enc|tpm)[0-9a-f]{1,64}", payload["module_id"])
    demand(module and module[2] == word, "nitro-malformed")
    return SimpleNamespace(
        pcrs=payload[key], instance=module[1], signature=envelope[3], timestamp=payload["timestamp"],
        user_data=payload.get("user_data"),
        chain=[parse_certificate(item) for item in (*payload["cabundle"], payload["certificate"])],
        signed=encode_cbor(["Signature1", ES384, b"", envelope[2]]),
    )

def check_chain(chain):
    """AT9.3"""
    demand(3 <= len(chain) <= 10, "chain-length")
    for certificate in chain:
        demand(certificate.key[:2] == ("EC", "P-384"), "certificate-key")
    check_issuance(chain)
    check_signer(chain[-1])

def check_revocation(run, chain, as_of):
    """AT9.5"""
    for depth, name in enumerate(("root-crl", "intermediate-crl")):
        demand(len(chain) > depth + 1, "chain-length")
        listed = parse_list(run.piece(name))
        check_list(listed, chain[depth], as_of)
        check_not_revoked(listed, chain[depth + 1], as_of)

def check_debug(document):
    """AT9.7"""
    demand(any(any(document.pcrs[index]) for index in (0, 1, 2)), "debug-enabled")

def check_instance(document):
    """AT9.8"""
    expected = sha384(bytes(48) + document.instance.encode()).digest()
    demand(document.pcrs.get(4) == expected, "nitro-instance-mismatch")

def check_signature(document):
    """AT9.4"""
    key = document.chain[-1].key
    signed = verify_raw(key, ("ECDSA", "SHA-384"), document.signature, document.signed)
    demand(signed, "evidence-signature-invalid")

def appraise_nitro(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    found = run.check("format", lambda: parse_document(platform, raw))
    run.check("root", lambda: check_root(need(found).chain, roots))
    run.check("chain", lambda: check_chain(need(found).chain))
    run.check("validity", lambda: check_dates(need(found).chain, as_of))
    run.check("revocation", lambda: check_revocation(run, need(found).chain, as_of))
    run.check("signature", lambda: check_signature(need(found)))
    has_debug = platform == "aws-nitro"
    run.check("debug", lambda: check_debug(need(found)) if has_debug else need(found) and absent())
    run.check("configuration", lambda: check_instance(need(found)) if has_debug else need(found) and absent())
    return run.checks
