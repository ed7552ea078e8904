"""Messages about unknown names: the nearest first, and all of them only where they are few."""

from dataclasses import dataclass

import pytest

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import did_you_mean, hint, listing, unknown
from wiregrad.core.registry import Registry

MANY = [f"method_{i}" for i in range(250)]


def test_nearest_names_come_first():
    assert did_you_mean("topk", ["sign", "top_k"]) == "; did you mean 'top_k'?"
    assert did_you_mean("abcd", ["abce", "abcf"]) == "; did you mean 'abcf' or 'abce'?"
    assert did_you_mean("method_25", MANY).startswith("; did you mean 'method_25', ")
    assert did_you_mean("zzz", ["sign", "top_k"]) == ""


def test_short_lists_are_given_in_full_and_long_ones_not():
    assert listing(["a", "b"]) == "(known: a, b)"
    assert listing([], "allowed") == "(allowed: none)"
    assert (
        listing(MANY) == "(250 are known, such as method_0, method_1, method_2, method_3, method_4)"
    )


def test_unknown_name():
    assert unknown("set", "x", ["a", "b"]) == "unknown set 'x' (known: a, b)"
    assert unknown("set", "abd", ["abc"]) == "unknown set 'abd'; did you mean 'abc'? (known: abc)"
    far, near = unknown("method", "zzz", MANY), unknown("method", "methd_3", MANY)
    assert far.startswith("unknown method 'zzz' (250 are known, such as method_0, ")
    assert near.endswith("?")
    assert "'method_3'" in near
    assert len(near) < 100


def test_a_hint_gives_the_nearest_names_or_all():
    names = [f"label_{i}" for i in range(100)]
    assert hint("label_9x", names).startswith("; did you mean 'label_9")
    assert hint("?", names).startswith(" (100 are known, such as label_0, ")
    assert hint("c", ["a", "b"]) == " (known: a, b)"


def test_registry_keeps_its_messages_short():
    parts: Registry[object] = Registry("part")
    for i in range(30):

        @parts.register(f"part_{i}")
        @dataclass
        class Part:
            size: int = 1

        Part.__qualname__ = f"Part{i}"
    with pytest.raises(ConfigError, match=r"^part\.name: missing \(30 are known, such as part_0, "):
        parts.build({})
    with pytest.raises(ConfigError, match=r"^x\.name: unknown part 'prt_7'; did you mean 'part_7'"):
        parts.build("prt_7", where="x")
    with pytest.raises(ConfigError, match="unknown part 'zzz'"):
        parts["zzz"]
