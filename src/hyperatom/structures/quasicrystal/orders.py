"""Orders p/q of rational approximants."""

import re
from math import gcd

from hyperatom.errors import InputError


def parse_order(text: str) -> tuple[int, int]:
    """The pair (p, q) of an order written `p/q`.

    Raises `InputError` where it is no such pair, or p and q have a common divisor.
    """
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None:
        raise InputError(f"{text!r} is not an order p/q.", "Write it as 2/1 or 3/2.")
    return check_order(int(match[1]), int(match[2]))


def parse_orders(text: str) -> tuple[tuple[int, int], ...]:
    """The pairs (p, q) along x, y and z of an order written `p/q`, or `p/q,p/q,p/q`.

    Raises `InputError` as `parse_order` does, and where there are two pairs or more than three.
    """
    parts = text.split(",")
    if len(parts) not in (1, 3):
        raise InputError(
            f"{text!r} names {len(parts)} orders.",
            "Give one, such as 2/1, or one for each of x, y and z: 1/1,1/1,2/1.",
        )
    orders = tuple(parse_order(part) for part in parts)
    return orders if len(orders) == 3 else orders * 3


def check_order(p: int, q: int) -> tuple[int, int]:
    """(p, q), or `InputError` where the two are negative, both zero, or not coprime."""
    if p < 0 or q < 0 or p + q == 0:
        raise InputError(f"The order {p}/{q} is not that of an approximant.", "Try 2/1 or 3/2.")
    divisor = gcd(p, q)
    if divisor != 1:
        raise InputError(
            f"The order {p}/{q} is not in lowest terms.",
            f"It means {p // divisor}/{q // divisor}; repeat that cell {divisor} times instead.",
        )
    return p, q
