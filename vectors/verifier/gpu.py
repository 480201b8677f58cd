"""NVIDIA GPUs (AT10). Integers are little-endian."""

from types import SimpleNamespace

from .appraisal import Run, absent, need
from .der import OCTETS, OID, SEQUENCE, DerReader, oid, open_der
from .nitro import check_chain, check_revocation, check_signature
from .pem import parse_pem
from .refusal import demand
from .x509 import check_dates, check_root, parse_certificate

REPORT_BYTES = 16_384
REQUEST, RESPONSE = bytes.fromhex("11e001ff"), bytes.fromhex("1160")
DRIVER, VBIOS, FIRMWARE = 3, 6, 20
FWIDS = 0xA6

class Bytes:
    """Reads from the front."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        start, self.position = self.position, self.position + size
        demand(self.position <= len(self.data), "nvidia-malformed")
        return self.data[start : self.position]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def sized(self, size):
        return Bytes(self.take(self.number(size)))

    def left(self):
        return len(self.data) - self.position

def read_blocks(count, record):
    """AT10.1: there is one at least, each has its own index, and they fill the record."""
    found = set()
    for _ in range(count):
        index, specification, size = record.number(1), record.number(1), record.number(2)
        kind, length = record.number(1), record.number(2)
        demand((specification, size, length) == (1, 51, 48) and kind < 128, "nvidia-malformed")
        record.take(48)
        demand(index not in found, "nvidia-malformed")
        found.add(index)
    demand(found and not record.left(), "nvidia-malformed")

def read_own_data(fields):
    found = {}
    while fields.left():
        kind = fields.number(2)
        demand(kind not in found, "nvidia-malformed")
        found[kind] = fields.sized(2).data
    return found

def parse_report(raw):
    """AT10.1"""
    demand(len(raw) <= REPORT_BYTES, "nvidia-malformed")
    reader = Bytes(raw)
    demand(reader.take(4) == REQUEST, "nvidia-malformed")
    reader.take(33)
    demand(reader.take(2) == RESPONSE, "nvidia-malformed")
    reader.take(2)
    count = reader.number(1)
    read_blocks(count, reader.sized(3))
    reader.take(32)
    own = read_own_data(reader.sized(2))
    signed, signature = raw[: reader.position], reader.take(96)
    demand(not reader.left(), "nvidia-malformed")
    driver, vbios, firmware = own.get(DRIVER, b""), own.get(VBIOS, b""), own.get(FIRMWARE)
    text = driver[:-1]
    demand(driver[-1:] == b"\0" and text and all(0x21 <= byte <= 0x7E for byte in text), "nvidia-malformed")
    demand(len(vbios) == 8 and not any(vbios[5:]), "nvidia-malformed")
    demand(firmware is None or len(firmware) == 48, "nvidia-malformed")
    return SimpleNamespace(signed=signed, signature=signature, firmware=firmware)

def take_firmware(fields):
    entry = fields.open(SEQUENCE)
    entry.take(OID)
    digest = entry.take(OCTETS)
    entry.end()
    return digest

def certified_firmware(leaf):
    """AT10.6: what the certificate calls its firmware."""
    hopper = leaf.extensions.get(oid("2.23.133.5.4.1"))
    if hopper:
        fields = open_der(hopper[1], "nvidia-malformed")
        fields.number()
        fields.take(SEQUENCE)
        found = [take_firmware(fields)]
        fields.end()
        return found
    found, dice = [], leaf.extensions.get(oid("2.23.133.5.4.1.1"))
    fields = open_der(dice[1], "nvidia-malformed") if dice else DerReader(b"", None)
    while fields.peek() is not None:
        tag = fields.peek()
        content = DerReader(fields.take(tag), "nvidia-malformed")
        while tag == FWIDS and content.peek() is not None:
            found.append(take_firmware(content))
    return found

def check_firmware(found):
    firmware = found.firmware
    demand(firmware is None or firmware in certified_firmware(found.chain[-1]), "nvidia-firmware-mismatch")

def judge_format(run, raw):
    found = parse_report(raw)
    found.chain = [parse_certificate(block) for block in parse_pem(run.piece("certificates"))][::-1]
    return found

def appraise_gpu(platform, raw, collateral, as_of, roots):
    run = Run(collateral)
    found = run.check("format", lambda: judge_format(run, raw))
    run.check("root", lambda: check_root(need(found).chain, roots))
    run.check("chain", lambda: check_chain(need(found).chain))
    run.check("validity", lambda: check_dates(need(found).chain, as_of))
    run.check("revocation", lambda: check_revocation(run, need(found).chain, as_of))
    run.check("signature", lambda: check_signature(need(found)))
    run.check("debug", absent)
    run.check("configuration", lambda: check_firmware(need(found)))
    return run.checks
