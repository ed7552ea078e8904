"""The compiled module: a submodule of the same functions for each path; see the wrappers."""

from typing import Protocol

class Path(Protocol):
    def sign_encode(
        self,
        e: int,
        e_stride: int,
        g: int,
        g_stride: int,
        n: int,
        d: int,
        size: int,
        square: bool,
        subtract: bool,
        scales: int,
        bits: int,
    ) -> bool: ...
    def sign_decode(
        self, scales: int, bits: int, n: int, d: int, size: int, out: int, out_stride: int
    ) -> None: ...
    def sign_sum(
        self,
        scales: int,
        bits: int,
        n: int,
        d: int,
        size: int,
        out: int,
        fresh: bool,
        divisor: float,
    ) -> None: ...
    def top_k(
        self,
        e: int,
        e_stride: int,
        g: int,
        g_stride: int,
        n: int,
        d: int,
        k: int,
        subtract: bool,
        indices: int,
        values: int,
    ) -> bool: ...
    def mean_rows(
        self, rows: int, n: int, d: int, stride: int, out: int, divisor: float
    ) -> None: ...
    def sparse_add(self, indices: int, values: int, count: int, out: int, d: int) -> bool: ...
    def pack(self, symbols: int, count: int, width: int, data: int) -> None: ...
    def unpack(self, data: int, count: int, width: int, symbols: int) -> None: ...
    def amsgrad(
        self,
        x: int,
        m: int,
        v: int,
        v_hat: int,
        g: int,
        d: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        eps_inside: bool,
    ) -> None: ...
    def pool_forward(self, x: int, y: int, rows: int, w: int, c: int) -> None: ...
    def pool_backward(self, x: int, y: int, g: int, dx: int, rows: int, w: int, c: int) -> None: ...
    def logistic(
        self,
        crow: int,
        col: int,
        value: int,
        pattern_crow: int,
        pattern_col: int,
        pattern_value: int,
        patterns: int,
        d: int,
        parts: int,
        n: int,
        x: int,
        onto: int,
        runs: int,
        out: int,
        margins: int,
        ld: int,
    ) -> None: ...
    # The stochastic ones.
    def philox(self, key: int, stream: int, block: int, blocks: int, out: int) -> None: ...
    def quantise(
        self,
        e: int,
        stride: int,
        g: int,
        g_stride: int,
        n: int,
        d: int,
        kind: int,
        s: int,
        width: int,
        largest: bool,
        subtract: bool,
        keys: int,
        packed: int,
        packed_stride: int,
        scales: int,
        nonzeros: int,
    ) -> int: ...
    def quantise_apply(
        self,
        packed: int,
        packed_stride: int,
        scales: int,
        n: int,
        d: int,
        kind: int,
        s: int,
        width: int,
        mode: int,
        out: int,
        stride: int,
    ) -> None: ...
    def ternary_nonzeros(self, packed: int, d: int, indices: int, negative: int) -> None: ...
    def sparsify(
        self,
        e: int,
        g: int,
        d: int,
        chance: int,
        subtract: bool,
        key: int,
        indices: int,
        values: int,
    ) -> int: ...
    def subset(self, key: int, k: int, d: int, out: int) -> None: ...
    def rand_k(
        self,
        e: int,
        stride: int,
        g: int,
        g_stride: int,
        n: int,
        d: int,
        k: int,
        factor: float,
        subtract: bool,
        keys: int,
        indices: int,
        values: int,
    ) -> int: ...
    def natural(
        self,
        e: int,
        stride: int,
        g: int,
        g_stride: int,
        n: int,
        d: int,
        subtract: bool,
        keys: int,
        packed: int,
        packed_stride: int,
    ) -> int: ...
    def natural_apply(
        self, packed: int, packed_stride: int, n: int, d: int, mode: int, out: int, stride: int
    ) -> None: ...
