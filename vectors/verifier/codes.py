"""Every code and reason that this verifier can give (BU3.2), read out of its own source."""

import ast
from pathlib import Path

GIVERS = (
    "demand", "Refusal", "NotChecked", "decode_as", "strict_utf8", "open_der", "open_signed", "take_time",
    "take_extensions", "strict_base64", "strict_json",
)
PASSED_ON = "code"  # the parameter by which a giver hands its caller's code on

def given_codes():
    """The last argument of every call of a giver; one that cannot be read is an error."""
    found = set()
    for path in sorted(Path(__file__).resolve().parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in GIVERS:
                code = node.args[-1]
                if isinstance(code, ast.Constant) and type(code.value) is str:
                    found.add(code.value)
                elif not (isinstance(code, ast.Name) and code.id == PASSED_ON):
                    raise ValueError(f"{path.name}:{node.lineno}: the code is no literal")
    return found
