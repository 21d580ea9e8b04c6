"""A whole number that a machine's word holds: an amount, an instant, a count, a handle.

To Python it is an `int`. A compiled room's `.pxd` may take what is annotated so for one of the processor's own, which
is neither made nor given back; who hands over what does not fit gets an OverflowError.
Source: docs/decisions/0005-compiled-trunk.md.
"""

from typing import TypeAlias

Whole: TypeAlias = int
