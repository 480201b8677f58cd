"""Quotes of Intel SGX and TDX as bytes (AT7.1, AT7.2). All integers are little-endian."""

from types import SimpleNamespace

from .refusal import demand

VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SGX, TDX = 0, 0x81
BODIES = {1: (SGX, 384), 2: (TDX, 584), 3: (TDX, 648)}
QUOTE_BYTES = 65_536

class Bytes:
    """Reads from the front."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        start, self.position = self.position, self.position + size
        demand(self.position <= len(self.data), "quote-malformed")
        return self.data[start : self.position]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def sized(self, size):
        """As many bytes as the number of this size says."""
        return Bytes(self.take(self.number(size)))

    def rest(self):
        return self.take(len(self.data) - self.position)

    def end(self):
        demand(self.position == len(self.data), "quote-malformed")

def take_body(reader, version, tee):
    """The body, whose kind is that of the header."""
    kind = 1 if version == 3 else 2
    if version == 5:
        kind = reader.number(2)
        demand(kind in BODIES and reader.number(4) == BODIES[kind][1], "quote-malformed")
    demand(BODIES[kind][0] == tee, "quote-malformed")
    return reader.take(BODIES[kind][1])

def parse_quote(raw):
    demand(len(raw) <= QUOTE_BYTES, "quote-malformed")
    reader = Bytes(raw)
    version = reader.number(2)
    demand(3 <= version <= 5, "quote-version-unsupported")
    key_type, tee = reader.number(2), reader.number(4)
    reader.take(4)
    demand(key_type == 2 and reader.take(16) == VENDOR, "quote-malformed")
    reader.take(20)
    body = take_body(reader, version, tee)
    signed = raw[: reader.position]
    data = reader.sized(4)
    demand(not any(reader.rest()), "quote-malformed")
    signature, key = data.take(64), data.take(64)
    certified = data
    if version > 3:
        demand(data.number(2) == 6, "quote-malformed")
        certified = data.sized(4)
        data.end()
    qe_report, qe_signature, qe_auth = certified.take(384), certified.take(64), certified.sized(2).rest()
    demand(certified.number(2) == 5, "quote-malformed")
    pem = certified.sized(4).rest()
    certified.end()
    return SimpleNamespace(
        is_tdx=tee == TDX, body=body, signed=signed, signature=signature, key=key, qe_report=qe_report,
        qe_signature=qe_signature, qe_auth=qe_auth, pem=pem[:-1] if pem[-1:] == b"\0" else pem,
    )
