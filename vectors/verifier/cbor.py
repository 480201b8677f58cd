"""Deterministic CBOR (ST1): the strict decoder, and the encoder for Sig_structure and round trips."""

from .refusal import Refusal, demand, strict_utf8
from .shapes import LIMIT

SHORTEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
SIMPLE = {20: False, 21: True, 22: None}
MAX_CBOR_DEPTH = 8

class CborReader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        start, self.position = self.position, self.position + size
        demand(self.position <= len(self.data), "cbor-truncated")
        return self.data[start : self.position]

    def head(self, is_key):
        """Major type and argument, judged in the order of ST1.5."""
        demand(self.position < len(self.data), "cbor-truncated")
        major, info = self.data[self.position] >> 5, self.data[self.position] & 31
        self.position += 1
        demand(info < 28, "cbor-not-canonical")
        supported = major in (0, 1, 3) if is_key else major < 6 or (major == 7 and info in SIMPLE)
        demand(supported, "cbor-unsupported-type")
        if info < 24:
            return major, info
        argument = int.from_bytes(self.take(1 << (info - 24)), "big")
        demand(argument >= SHORTEST[info], "cbor-not-canonical")
        return major, argument

    def item(self, depth=0, is_key=False):
        """`depth` is that of the array or map that holds the item."""
        major, argument = self.head(is_key)
        if major <= 1:
            demand(argument < LIMIT - major, "cbor-unsupported-type")
            return -1 - argument if major else argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return strict_utf8(self.take(argument), "cbor-invalid-utf8")
        if major == 7:
            return SIMPLE[argument]
        demand(argument * (major - 3) <= len(self.data) - self.position, "cbor-truncated")
        demand(depth < MAX_CBOR_DEPTH, "cbor-too-deep")
        if major == 4:
            return [self.item(depth + 1) for _ in range(argument)]
        return self.map(argument, depth + 1)

    def map(self, count, depth):
        result, previous = {}, b""
        for _ in range(count):
            start = self.position
            key = self.item(depth, is_key=True)
            encoded = self.data[start : self.position]
            demand(encoded != previous, "cbor-duplicate-key")
            demand(encoded > previous, "cbor-not-canonical")
            result[key] = self.item(depth)
            previous = encoded
        return result

def decode_cbor(data, limit=LIMIT):
    demand(len(data) <= limit, "cbor-too-large")
    reader = CborReader(data)
    value = reader.item()
    demand(reader.position == len(data), "cbor-trailing-bytes")
    return value

def decode_as(data, limit, code):
    """The decoded item; every refusal of its CBOR is the given code."""
    try:
        return decode_cbor(data, limit)
    except Refusal:
        raise Refusal(code) from None

def encode_head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(size for size in (1, 2, 4, 8) if argument < 1 << (8 * size))
    return bytes([major << 5 | 23 + size.bit_length()]) + argument.to_bytes(size, "big")

def encode_cbor(value):
    if value is None or type(value) is bool:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if type(value) is int:
        return encode_head(0, value) if value >= 0 else encode_head(1, -1 - value)
    if type(value) is bytes:
        return encode_head(2, len(value)) + value
    if type(value) is str:
        return encode_head(3, len(value.encode())) + value.encode()
    if type(value) is list:
        return encode_head(4, len(value)) + b"".join(map(encode_cbor, value))
    pairs = sorted((encode_cbor(key), encode_cbor(item)) for key, item in value.items())
    return encode_head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
