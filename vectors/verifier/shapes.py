"""Shapes: predicates over decoded CBOR or JSON. bool is an int in Python, so types are exact."""

LIMIT = 2**53

def uint(value):
    return type(value) is int and value >= 0

def text(low=0, high=LIMIT):
    return lambda value: type(value) is str and low <= len(value.encode()) <= high

def octets(low, high):
    return lambda value: type(value) is bytes and low <= len(value) <= high

def exactly(expected):
    return lambda value: type(value) is type(expected) and value == expected

def one_of(*values):
    return lambda value: type(value) is str and value in values

def nullable(shape):
    return lambda value: value is None or shape(value)

def either(first, second):
    return lambda value: first(value) or second(value)

def array(shape, low, high):
    return lambda value: type(value) is list and low <= len(value) <= high and all(map(shape, value))

def record(required, optional=()):
    """A map that has all required keys, perhaps optional ones, and no others."""
    every = {**required, **dict(optional)}

    def matches(value):
        return (
            type(value) is dict
            and required.keys() <= value.keys() <= every.keys()
            and all(every[key](item) for key, item in value.items())
        )

    return matches

def amount(value):
    """RC2.1: unsigned big-endian, no leading zero byte, zero is empty."""
    return octets(0, 32)(value) and value[:1] != b"\0"

any_text, any_octets, hash32, key64 = text(), octets(0, LIMIT), octets(32, 32), octets(64, 64)
text_or_null, uint_or_null = nullable(any_text), nullable(uint)

def tuple_of(*shapes):
    """An array with one item of each shape."""
    return lambda value: (
        type(value) is list
        and len(value) == len(shapes)
        and all(shape(item) for shape, item in zip(shapes, value))
    )
