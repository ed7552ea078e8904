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
