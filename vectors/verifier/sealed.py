"""Sealed messages (spec/sealed.md): HPKE of RFC 9180, chunks, and HTTP in binary."""

import hmac
import re
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .jsontext import parse_base64
from .refusal import Refusal, demand

SUITE = bytes.fromhex("002000010001")
KEM, HPKE = b"KEM\0\x20", b"HPKE" + SUITE
CHUNK_BYTES, SECTION_BYTES, MOST_CHUNKS, MOST_PIECES = 65_536, 65_536, 16_384, 16_384
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,256}")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
REQUEST_FORMS = [r"[A-Z]{1,16}", r"https", r"[\x21-\x7e]{1,255}", r"/[\x21-\x7e]{0,8191}"]

class Cut(Exception):
    """The bytes end before what is read."""

class Reader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def integer(self):
        """RFC 9000 §16, the shortest form below 2^30."""
        if self.position == len(self.data):
            raise Cut
        width = 1 << (self.data[self.position] >> 6)
        demand(width < 8, "sealed-malformed")
        raw = self.take(width)
        value = int.from_bytes(raw, "big") & (1 << (8 * width - 2)) - 1
        demand(width == 1 or value >= 1 << (8 * width // 2 - 2), "sealed-malformed")
        return value

    def take(self, size):
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise Cut
        return self.data[start : self.position]

    def piece(self):
        return self.take(self.integer())

    def text(self):
        found = self.piece()
        demand(len(found) <= SECTION_BYTES, "sealed-malformed")
        return found.decode("latin-1")

    def fields(self):
        found, start = [], self.position
        try:
            while True:
                name = self.text()
                demand(self.position - start <= SECTION_BYTES, "sealed-malformed")
                if name == "":
                    return found
                value = self.text()
                demand(NAME.fullmatch(name) and VALUE.fullmatch(value), "sealed-malformed")
                found.append([name, value])
        except Cut:
            demand(len(self.data) - start <= SECTION_BYTES, "sealed-malformed")
            raise

    def content(self):
        return list(iter(self.piece, b""))

    def end(self):
        demand(self.position == len(self.data), "sealed-malformed")

def cut_chunks(data, most=float("inf")):
    """SE3.1 to SE3.3: the chunks, and the last one."""
    reader, chunks = Reader(data), []
    try:
        while True:
            length = reader.integer()
            demand(length <= CHUNK_BYTES, "sealed-malformed")
            if length == 0:
                break
            chunks.append(reader.take(length))
            demand(len(chunks) <= most, "sealed-malformed")
    except Cut:
        raise Refusal("sealed-truncated") from None
    last = data[reader.position :]
    demand(len(last) <= CHUNK_BYTES, "sealed-malformed")
    return chunks, last

def extract(salt, secret):
    return hmac.new(salt, secret, "sha256").digest()

def expand(key, info, length):
    return hmac.new(key, info + b"\1", "sha256").digest()[:length]

def labeled_extract(suite, salt, label, secret):
    return extract(salt, b"HPKE-v1" + suite + label + secret)

def labeled_expand(suite, key, label, info, length):
    return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)

def hpke_keys(private, enc, info):
    """RFC 9180 §4.1, §5.1 in mode base: the key and the base nonce."""
    own = X25519PrivateKey.from_private_bytes(private)
    public = own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:
        raise Refusal("sealed-malformed") from None
    prk = labeled_extract(KEM, b"", b"eae_prk", shared)
    secret = labeled_expand(KEM, prk, b"shared_secret", enc + public, 32)
    schedule = b"\0" + labeled_extract(HPKE, b"", b"psk_id_hash", b"") + labeled_extract(HPKE, b"", b"info_hash", info)
    prk = labeled_extract(HPKE, secret, b"secret", b"")
    return labeled_expand(HPKE, prk, b"key", schedule, 16), labeled_expand(HPKE, prk, b"base_nonce", schedule, 12)

def open_chunks(key, base, chunks, last):
    plain = []
    for place, (sealed, about) in enumerate([*((chunk, b"") for chunk in chunks), (last, b"final")]):
        nonce = (int.from_bytes(base, "big") ^ place).to_bytes(12, "big")
        demand(len(sealed) >= 16, "sealed-tampered")
        try:
            plain.append(AESGCM(key).decrypt(nonce, sealed, about))
        except InvalidTag:
            raise Refusal("sealed-tampered") from None
    return b"".join(plain)

def parse_request(data):
    """SE2.2"""
    reader = Reader(data)
    try:
        demand(reader.integer() == 2, "sealed-malformed")
        control = [reader.text() for _ in range(4)]
        fields, content, trailers = reader.fields(), reader.content(), reader.fields()
    except Cut:
        raise Refusal("sealed-malformed") from None
    reader.end()
    demand(not trailers and len(content) <= MOST_PIECES, "sealed-malformed")
    demand(all(re.fullmatch(form, part) for form, part in zip(REQUEST_FORMS, control)), "sealed-malformed")
    method, _, authority, path = control
    return {"method": method, "path": path, "authority": authority, "fields": fields, "content": b"".join(content)}

def parse_answer(data):
    """SE4.2"""
    reader = Reader(data)
    try:
        demand(reader.integer() == 3, "sealed-malformed")
        status, fields = reader.integer(), reader.fields()
        demand(200 <= status <= 599, "sealed-malformed")
        content, trailers = reader.content(), reader.fields()
    except Cut:
        raise Refusal("sealed-truncated") from None
    reader.end()
    return {"status": status, "fields": fields, "content": b"".join(content), "trailers": trailers}

def open_request(body, private):
    """SE2.1"""
    demand(len(body) >= 39, "sealed-truncated")
    head, enc = body[:7], body[7:39]
    demand(head[1:] == SUITE, "sealed-malformed")
    chunks, last = cut_chunks(body[39:], min(MOST_CHUNKS, 64 + len(body) // 1024))
    own = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    demand(head[0] == sha256(own).digest()[0], "sealed-key-unknown")
    key, base = hpke_keys(private, enc, b"message/bhttp chunked request\0" + head)
    return parse_request(open_chunks(key, base, chunks, last))

def open_answer(body, secret, enc):
    """SE4.1"""
    demand(len(body) >= 16, "sealed-truncated")
    chunks, last = cut_chunks(body[16:])
    prk = extract(enc + body[:16], secret)
    return parse_answer(open_chunks(expand(prk, b"key", 16), expand(prk, b"nonce", 12), chunks, last))

def open_sealed(case):
    body = parse_base64(case["body"])
    try:
        if "privateKey" in case:
            return open_request(body, bytes.fromhex(case["privateKey"]))
        return open_answer(body, bytes.fromhex(case["secret"]), bytes.fromhex(case["enc"]))
    except Refusal as refusal:
        return {"code": refusal.args[0]}
