"""The bundle file (BU1) and its proofs (BU3.9)."""

from types import SimpleNamespace

from .jsontext import parse_base64, parse_json
from .refusal import NotChecked, demand
from .shapes import any_octets, any_text, array, either, exactly, hash32, record, text

BUNDLE_BYTES = 4_194_304

BUNDLE = record(
    {
        "countersign": exactly(1),
        "statement": any_text,
        "claims": array(either(record({"claim": any_text}), record({"leaf": any_text})), 0, 64),
        "keyset": any_text,
        "evidence": array(record({"kind": text(1, 64), "nonce": any_text, "data": any_text}), 0, 1),
        "proofs": array(record({"kind": text(1, 64), "data": any_text}), 0, 16),
    },
    {"events": any_text},
)

def judge_bundle(call):
    """BU1.1, BU1.2 for the whole file, then BU1.3 for each byte string in its order."""
    demand(len(call.bundle_bytes) <= BUNDLE_BYTES, "bundle-too-large")
    value = parse_json(call.bundle_bytes)
    demand(type(value) is dict, "bundle-malformed")
    demand(exactly(1)(value.get("countersign")), "bundle-version-unsupported")
    demand(BUNDLE(value), "bundle-malformed")
    call.bundle = SimpleNamespace(
        statement=parse_base64(value["statement"]),
        claims=[decode_members(entry, ("claim", "leaf")) for entry in value["claims"]],
        keyset=parse_base64(value["keyset"]),
        evidence=[decode_members(entry, ("nonce", "data")) for entry in value["evidence"]],
        proofs=[decode_members(entry, ("data",)) for entry in value["proofs"]],
        events=decode_members(value, ("events",)).get("events"),
    )

SIZES = {"leaf": hash32, "nonce": hash32, "events": lambda value: len(value) % 32 == 0}

def decode_members(entry, names):
    """The entry with the members named, where it has them, as bytes of the right length."""
    result = dict(entry)
    for name in names:
        if name in entry:
            result[name] = parse_base64(entry[name])
            demand(SIZES.get(name, any_octets)(result[name]), "bundle-malformed")
    return result

def judge_proofs(call):
    if call.bundle.proofs:
        raise NotChecked("unknown-kind")
