"""Signatures by addresses of the EVM (EIP-191): Keccak-256 and the recovery of a key on secp256k1."""

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
MASK = 2**64 - 1
RATE = 136

def rotate(lane, count):
    return (lane << count | lane >> (64 - count)) & MASK if count else lane

def permute(lanes):
    """Keccak-f[1600] over lanes[x][y]; the round constants follow from their register."""
    register = 1
    for _ in range(24):
        sums = [column[0] ^ column[1] ^ column[2] ^ column[3] ^ column[4] for column in lanes]
        mixed = [sums[x - 1] ^ rotate(sums[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lane ^ mixed[x] for lane in lanes[x]] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], rotate(current, (step + 1) * (step + 2) // 2 % 64)
        rows = [[lanes[x][y] for x in range(5)] for y in range(5)]
        lanes = [[rows[y][x] ^ (~rows[y][(x + 1) % 5] & rows[y][(x + 2) % 5] & MASK) for y in range(5)] for x in range(5)]
        for step in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) % 256
            if register & 2:
                lanes[0][0] ^= 1 << ((1 << step) - 1)
    return lanes

def keccak256(data):
    padded = bytearray(data) + b"\1" + bytes(-(len(data) + 1) % RATE)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), RATE):
        for at in range(RATE // 8):
            block = padded[start + 8 * at : start + 8 * at + 8]
            lanes[at % 5][at // 5] ^= int.from_bytes(block, "little")
        lanes = permute(lanes)
    return b"".join(lanes[at % 5][at // 5].to_bytes(8, "little") for at in range(4))

def add(first, second):
    """Points of the curve; None is the neutral one."""
    if first is None or second is None:
        return first or second
    (x, y), (u, v) = first, second
    if x == u and (y + v) % P == 0:
        return None
    slope = 3 * x * x * pow(2 * y, -1, P) if first == second else (v - y) * pow(u - x, -1, P)
    third = (slope * slope - x - u) % P
    return third, (slope * (x - third) - y) % P

def multiply(point, factor):
    result = None
    while factor:
        if factor & 1:
            result = add(result, point)
        point, factor = add(point, point), factor >> 1
    return result

def recover(digest, signature):
    """The address, or None."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or signature[64] not in (27, 28) or not (0 < r < N and 0 < s < N):
        return None
    square = (r**3 + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    point = (r, y if y % 2 == signature[64] - 27 else P - y)
    inverse = pow(r, -1, N)
    key = add(multiply(point, s * inverse % N), multiply(G, -int.from_bytes(digest, "big") * inverse % N))
    if key is None:
        return None
    return "0x" + keccak256(key[0].to_bytes(32, "big") + key[1].to_bytes(32, "big"))[12:].hex()

def signed_by_address(address, message, signature):
    prefix = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode()
    return recover(keccak256(prefix + message), signature) == address.lower()
