"""How a judging function ends otherwise than with a pass (BU3.2)."""

class Refusal(Exception):
    """A failed check; the argument is the code."""

class NotChecked(Exception):
    """A check that could not be made; the argument is the reason."""

def demand(condition, code):
    if not condition:
        raise Refusal(code)

def strict_utf8(data, code):
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refusal(code) from None
