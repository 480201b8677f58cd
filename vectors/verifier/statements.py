"""Intel's signed statements (AT7.4): their JSON, read into plain values."""

import re
from calendar import timegm
from datetime import datetime

from .jsontext import parse_json
from .refusal import Refusal, demand
from .shapes import uint

STATEMENT_BYTES, MOST_ITEMS = 262_144, 256
STATUSES = (
    "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
    "OutOfDateConfigurationNeeded", "Revoked",
)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)

def member(value, name, kind):
    """A member of this exact type."""
    demand(type(value) is dict and type(value.get(name)) is kind, "collateral-malformed")
    return value[name]

def number(value, name):
    demand(uint(member(value, name, int)), "collateral-malformed")
    return value[name]

def lower_hex(value, name, size):
    text = member(value, name, str).lower()
    demand(re.fullmatch(f"(?:[0-9a-f]{{2}}){{{size}}}", text), "collateral-malformed")
    return bytes.fromhex(text)

def items(value, name):
    found = member(value, name, list)
    demand(len(found) <= MOST_ITEMS, "collateral-malformed")
    demand(all(type(item) is dict for item in found), "collateral-malformed")
    return found

def time_of(value, name):
    """Milliseconds."""
    text = member(value, name, str)
    demand(DATE.fullmatch(text), "collateral-malformed")
    try:
        return timegm(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").timetuple()) * 1000
    except ValueError:
        raise Refusal("collateral-malformed") from None

def open_json(data, version):
    demand(len(data) <= STATEMENT_BYTES, "collateral-malformed")
    try:
        value = parse_json(data)
    except Refusal:
        raise Refusal("collateral-malformed") from None
    demand(type(value) is dict and type(value.get("version")) is int, "collateral-malformed")
    demand(value["version"] == version, "collateral-malformed")
    number(value, "tcbEvaluationDataNumber")
    return {"id": member(value, "id", str), "from": time_of(value, "issueDate"), "to": time_of(value, "nextUpdate")}, value

def identity(value, size):
    return {
        "mrsigner": member(value, "mrsigner", str).lower(),
        "attributes": lower_hex(value, "attributes", size),
        "mask": lower_hex(value, "attributesMask", size),
    }

def check_level(value):
    demand(value.get("tcbStatus") in STATUSES, "collateral-malformed")
    advisories = value.get("advisoryIDs", [])
    demand(type(advisories) is list and len(advisories) <= MOST_ITEMS, "collateral-malformed")
    demand(all(type(item) is str for item in advisories), "collateral-malformed")
    return member(value, "tcb", dict)

def isv_levels(value):
    """The least isvsvn of each level, in order."""
    return [number(check_level(level), "isvsvn") for level in items(value, "tcbLevels")]

def components(tcb, name):
    found = [number(item, "svn") for item in items(tcb, name)]
    demand(len(found) == 16, "collateral-malformed")
    return found

def platform_level(level, is_tdx):
    tcb = check_level(level)
    sgx = components(tcb, "sgxtcbcomponents")
    return sgx, components(tcb, "tdxtcbcomponents") if is_tdx else None, number(tcb, "pcesvn")

def parse_qe_identity(data):
    found, value = open_json(data, 2)
    return {
        **found, **identity(value, 16), "misc": lower_hex(value, "miscselect", 4)[::-1],
        "miscmask": lower_hex(value, "miscselectMask", 4)[::-1], "prodid": number(value, "isvprodid"),
        "levels": isv_levels(value),
    }

def parse_tcb_info(data):
    found, value = open_json(data, 3)
    is_tdx = found["id"] == "TDX"
    modules = items(value, "tdxModuleIdentities") if is_tdx and "tdxModuleIdentities" in value else []
    return {
        **found, "fmspc": member(value, "fmspc", str).lower(), "pceid": member(value, "pceId", str).lower(),
        "levels": [platform_level(level, is_tdx) for level in items(value, "tcbLevels")],
        "module": identity(member(value, "tdxModule", dict), 8) if is_tdx else None,
        "modules": {
            member(module, "id", str): {**identity(module, 8), "levels": isv_levels(module)} for module in modules
        },
    }
