"""The claims of a call: their schemas, and which there must be (RC4, RC4.1)."""

from .shapes import (
    amount, any_text, array, hash32, nullable, one_of, record, text_or_null, uint, uint_or_null,
)
from .statement import RECEIPT, REFUSAL

TLS = record({"chain": array(hash32, 1, 10), "spki": hash32, "version": any_text})
SOURCE = one_of("provider", "none")
STATE = one_of("complete", "aborted-by-client", "upstream-error", "timeout")
CLAIM_SCHEMAS = {
    "forwarded": record({"bytes": uint, "sha256": hash32, "transform": any_text}),
    "model": record({"asserted": text_or_null, "requested": any_text}),
    "outcome": record({"error": text_or_null, "finish": text_or_null, "state": STATE}),
    "parameters": lambda value: type(value) is dict and all(map(any_text, [*value, *value.values()])),
    "price": record({"amount": amount, "sheet": hash32}),
    "recovered": record({"request": hash32}),
    "refusal": record({"code": any_text, "status": uint}),
    "request": record({"bytes": uint, "method": any_text, "path": any_text, "sha256": hash32}),
    "response": record({"bytes": uint, "sha256": hash32, "status": uint, "transform": any_text}),
    "routing": record({"model": any_text}),
    "stream": record({"events": lambda value: uint(value) and value <= 2_097_152, "head": hash32}),
    "timing": record({"completed": uint, "firstByte": uint_or_null, "received": uint}),
    "upstream": record({"host": any_text, "requestId": text_or_null, "tls": nullable(TLS)}),
    "upstream-response": record({"bytes": uint, "sha256": hash32, "status": uint_or_null}),
    "usage": record({"input": uint_or_null, "output": uint_or_null, "raw": text_or_null, "source": SOURCE}),
}
NEEDED_CLAIMS = {
    RECEIPT: CLAIM_SCHEMAS.keys() - {"recovered", "refusal", "routing", "stream"},
    REFUSAL: {"refusal", "request", "response"},
}
RECOVERED_CLAIMS = {"recovered"}  # RC4.13
