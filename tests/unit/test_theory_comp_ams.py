import math

import pytest

from wiregrad.compressors import registry
from wiregrad.theory import comp_ams as theory
from wiregrad.theory.comp_ams import Setting

EXACT = Setting(L=2, G=3, q=0, beta1=0.9, eps=1e-2)
COARSE = Setting(
    L=2, G=3, q=0.5, n=4, d=10, sigma2=1.5, sigma_g2=0.5, beta1=0.9, eps=1e-2
)  # q² = 1/4, 1 - q² = 3/4


def test_constants_of_uncompressed_training() -> None:
    assert theory.c0(EXACT) == pytest.approx(math.sqrt(36.01))
    assert theory.c1(EXACT) == pytest.approx(9)
    assert theory.c2(EXACT) == pytest.approx(81)
    assert theory.residual_bound(EXACT) == 0


def test_constants_by_hand_at_q_one_half() -> None:
    moment = 4 * (125 / 64) * 9 * (16 / 9)  # 4 (1+q²)³ G² / (1-q²)²
    assert theory.second_moment_bound(COARSE) == pytest.approx(moment)
    assert theory.c0(COARSE) == pytest.approx(math.sqrt(moment + 0.01))
    assert theory.c1(COARSE) == pytest.approx(9 + 4 / 3)
    assert theory.c2(COARSE) == pytest.approx(81 + 16 / 9)
    assert theory.residual_bound(COARSE) == pytest.approx(16)


def test_step_size_by_hand() -> None:
    limit = 0.01 / (3 * math.sqrt(125.01) * math.sqrt(4 * (81 + 16 / 9)))
    assert theory.step_size_limit(COARSE) == pytest.approx(limit)
    steep = Setting(L=1e3, G=3, q=0.5, eps=1e-2)  # 2L above C2
    assert theory.step_size_limit(steep) == pytest.approx(0.01 / (3 * math.sqrt(125.01) * 2e3))


def test_corollary_takes_the_smaller_step() -> None:
    limit = theory.step_size_limit(COARSE)
    assert theory.corollary_step_size(COARSE, T=1) == limit
    far = 4 * 10**12
    assert theory.corollary_step_size(COARSE, T=far) == pytest.approx(1e-6)


def test_bound_by_hand() -> None:
    lr, T, delta = 1e-5, 1000, 5.0
    C0, C1, C2 = math.sqrt(125.01), 31 / 3, 81 + 16 / 9
    terms = [
        5 / 1e-2,
        1e-5 * 2 * 1.5 / 4e-2,
        3e-10 * 2 * C0 * C2 * 1.5 / 4e-4,
        12e-10 * 0.25 * 2 * C0 * 0.5 / (9 / 16 * 1e-4),
        (1 + C1) * 9 * 10 / 100,
        1e-5 * (1 + 2 * C1) * C1 * 2 * 9 * 10 / 10,
    ]
    bound = theory.gradient_bound(COARSE, lr, T, delta)
    assert bound == pytest.approx(2 * C0 * sum(terms))
    printed = theory.gradient_bound(COARSE, lr, T, delta, as_printed=True)
    terms[2] *= C1 / C2
    assert printed == pytest.approx(2 * C0 * sum(terms))


def test_the_correction_matters_at_the_papers_beta1_and_not_at_one_third() -> None:
    third = Setting(L=2, G=3, q=0.1, beta1=1 / 3)
    assert theory.c2(COARSE) > theory.c1(COARSE)
    assert theory.c2(third) <= theory.c1(third)


def test_a_step_above_the_limit_has_no_bound() -> None:
    with pytest.raises(ValueError, match="allowed by Theorem 1: at most"):
        theory.gradient_bound(COARSE, 1.01 * theory.step_size_limit(COARSE), 10, 1.0)


@pytest.mark.parametrize(
    ("spec", "q2"),
    [({"name": "top_k", "k": 3}, 0.7), ({"name": "block_sign"}, 0.9), ({"name": "identity"}, 0.0)],
)
def test_q_of_a_compressor(spec: dict, q2: float) -> None:
    q = theory.deviation(registry.build(spec).contract((10,)))
    assert q**2 == pytest.approx(q2)


def test_q_of_a_compressor_that_is_not_contractive_is_refused() -> None:
    contract = registry.build({"name": "scaled_sign", "norm": "l2"}).contract((100,))
    with pytest.raises(ValueError, match="contractive"):
        theory.deviation(contract)


@pytest.mark.parametrize("bad", [{"q": 1.0}, {"q": -0.1}, {"beta1": 1.0}, {"L": 0}, {"eps": 0}])
def test_assumptions_are_checked(bad: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Setting(**({"L": 1, "G": 1, "q": 0.5} | bad))
