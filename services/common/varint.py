"""Numbers as protobuf writes them: seven bits a byte, the lowest first."""

from __future__ import annotations


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, begin: int) -> tuple[int, int]:
    """The number and the place behind it."""
    number = shift = 0
    while begin < len(data) and shift < 64:
        byte = data[begin]
        number, shift, begin = number | (byte & 0x7F) << shift, shift + 7, begin + 1
        if not byte & 0x80:
            return number, begin
    return 0, begin
