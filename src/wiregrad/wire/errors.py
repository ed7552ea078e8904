"""What is wrong with bytes that are no valid payload."""

from __future__ import annotations

from wiregrad.core.errors import WiregradError


class PayloadError(WiregradError):
    """Bytes that are no valid payload."""


class TruncatedPayload(PayloadError):
    """Fewer bytes than the header announces."""


class OversizedPayload(PayloadError):
    """More bytes than the header announces, or a header that announces an absurd size."""


class UnknownVersion(PayloadError):
    """A wire-format version, codec or float type that this release does not know."""


class CorruptPayload(PayloadError):
    """A body that its codec cannot have written: index out of range, NaN scale, stray bits."""
