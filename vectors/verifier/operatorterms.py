"""The announced terms of an operator (CO7.1)."""

import json
import re

from .refusal import demand
from .shapes import array, exactly, record
from .tokens import strict_json

TERMS_BYTES = 4096
MEMBERS = ("version", "network", "gatewayId", "payeeOwner", "registry", "guardian", "proposers", "minDelaySeconds",
           "fromBlock")

def written_as(pattern):
    compiled = re.compile(pattern)
    return lambda value: type(value) is str and compiled.fullmatch(value) is not None

def at_most(limit):
    return lambda value: type(value) is int and 0 <= value <= limit

address = written_as("0x[0-9a-f]{40}")
addresses = array(address, 1, 32)

TERMS = record({
    "version": exactly(1), "network": written_as("eip155:[1-9][0-9]{0,14}"),
    "gatewayId": written_as("0x(?!0{64})[0-9a-f]{64}"), "payeeOwner": address, "registry": address, "guardian": address,
    "proposers": lambda value: addresses(value) and len(set(value)) == len(value),
    "minDelaySeconds": at_most(10**9), "fromBlock": at_most(2**53 - 1),
})

def judge_terms(data):
    """The members; other bytes for the same members are refused, too."""
    demand(len(data) <= TERMS_BYTES, "terms-malformed")
    terms = strict_json(data, "terms-malformed")
    demand(TERMS(terms), "terms-malformed")
    text = json.dumps({name: terms[name] for name in MEMBERS}, separators=(",", ":"))
    demand(text.encode() == data, "terms-malformed")
    return terms
