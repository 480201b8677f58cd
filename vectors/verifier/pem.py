"""PEM certificates (AT2.7)."""

import base64

from .refusal import demand

BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"

def encode_block(data):
    text = base64.b64encode(data)
    lines = [text[at : at + 64] + b"\n" for at in range(0, len(text), 64)]
    return BEGIN + b"".join(lines) + END

def decode_block(block):
    """The bytes of what stands before the end line; nothing for what is not base64."""
    try:
        return base64.b64decode(b"".join(block.split(b"\n-----END")[0].split(b"\n")), validate=True)
    except ValueError:
        return b""

def parse_pem(data):
    """Certificates in the order of the text, which is what encoding them again gives."""
    blocks = [decode_block(block) for block in data.split(BEGIN)[1:]]
    again = b"".join(map(encode_block, blocks))
    demand(1 <= len(blocks) <= 10 and again in (data, data + b"\n"), "pem-malformed")
    return blocks
