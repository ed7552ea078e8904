"""Four real processes against the simulation: the same x, the same bits, the same bytes."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from threads import torch_threads

from wiregrad.comm import accounting
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Loop
from wiregrad.runtimes.distributed.runtime import own_row, require_own_state
from wiregrad.runtimes.simulated import Simulated

PROGRAMS = Path(__file__).parent / "programs"
N = 4
ROUNDS = 30
GENERATED = {"name": "generated_least_squares"}
TOP_K = {"name": "top_k", "k": 5}
LOGISTIC = {"name": "logistic", "data": "mushrooms"}
MNIST = {
    "name": "mnist_cnn",
    "data": "mnist|mnist-5k",
    "batch": 4,
    "eval_train": 200,
    "eval_test": 200,
    "per_pass": 1,
}

METHODS: dict[str, dict[str, Any]] = {
    "comp_ams_top_k": {"name": "comp_ams", "lr": 0.01, "compressor": TOP_K},
    "comp_ams_block_sign": {"name": "comp_ams", "lr": 0.01, "compressor": "block_sign"},
    "comp_ams_qsgd": {"name": "comp_ams", "lr": 0.01, "compressor": "qsgd"},
    "qadam": {"name": "qadam", "lr": 0.01},
    "one_bit_adam": {"name": "one_bit_adam", "lr": 0.01, "warmup": 0.2},
    "one_bit_adam_published": {"name": "one_bit_adam_published", "lr": 0.01, "warmup": 0.2},
    "adacgd": {
        "name": "adacgd",
        "lr": 0.01,
        "zeta": 1.0,
        "compressors": [{"name": "top_k", "k": 1}, TOP_K, "identity"],
    },
    "clag": {"name": "clag", "lr": 0.01, "zeta": 4.0, "compressor": TOP_K},
    "ef21_plus": {"name": "ef21_plus", "lr": 0.01, "compressor": TOP_K},
    "lag_ps": {"name": "lag_ps", "lr": 0.01, "smoothness": [4.0, 3.0, 2.0, 1.0]},
    "marina_perm_k": {"name": "marina_perm_k", "lr": 0.01, "p": 0.2},
    "three_pc_v3": {  # a message of two parts, the first of which may be empty
        "name": "three_pc_v3",
        "lr": 0.01,
        "compressor": TOP_K,
        "inner": {"name": "clag", "zeta": 4.0, "compressor": "qsgd"},
    },
    "three_pc_v5": {"name": "three_pc_v5", "lr": 0.01, "compressor": TOP_K, "p": 0.2},
    "bidirectional": {
        "name": "bidirectional_3pc",
        "lr": 0.01,
        "uplink": {"name": "lag", "zeta": 4.0},
        "downlink": {"name": "three_pc_v4", "compressor": TOP_K, "second": "block_sign"},
    },
    "cd_adam": {"name": "cd_adam", "lr": 0.01, "compressor": "scaled_sign", "blocks": "per_layer"},
    "efficient_adam": {
        "name": "efficient_adam",
        "lr": 0.01,
        "compressor": {"name": "log_quantiser", "bits": 3},
        "server_compressor": {"name": "log_quantiser", "bits": 4},
    },
    "efficient_adam_qsgd": {
        "name": "efficient_adam",
        "lr": 0.01,
        "compressor": "qsgd",
        "server_compressor": "qsgd",
        "server_feedback": False,
    },
}
SKIPPING = {"name": "skipping_gradient", "lr": 0.1, "threshold": 0.05, "compressor": TOP_K}


def config(problem: dict[str, Any], method: dict[str, Any], **log: Any) -> dict[str, Any]:
    return {
        "problem": problem,
        "method": method,
        "runtime": {"name": "distributed", "workers": N},
        "budget": {"steps": ROUNDS},
        "log": {"every": 5} | log,
        "seed": 7,
        "plugins": [str(PROGRAMS / "lockstep.py")],
    }


def poisoned(method: dict[str, Any]) -> dict[str, Any]:
    problem = GENERATED | {"poisoned_worker": 2, "poisoned_step": 12}
    return config(problem, method, convention="formula")


CASES = {
    **{f"generated-{name}": config(GENERATED, method) for name, method in METHODS.items()},
    **{
        f"logistic-{name}": config(LOGISTIC, METHODS[name], convention="comp_ams")
        for name in ("comp_ams_top_k", "comp_ams_qsgd", "one_bit_adam_published", "adacgd")
    },
    "mnist-comp_ams_block_sign": config(MNIST, METHODS["comp_ams_block_sign"], every=ROUNDS),
    "joined-dist_sgd": config(
        MNIST | {"per_pass": None}, {"name": "dist_sgd", "lr": 0.01}, every=ROUNDS
    ),
    "generated-skipping": config(GENERATED, SKIPPING),
    "poisoned-comp_ams_top_k": poisoned(METHODS["comp_ams_top_k"]),
    "poisoned-skipping": poisoned(SKIPPING),
    "overflowing-dist_sgd": config(GENERATED, {"name": "dist_sgd", "lr": 1e30}),
}
# The simulation joins the workers of this one in a pass, which a rank cannot: equal to rounding.
ROUNDED = {"joined-dist_sgd": 1e-6}
DIVERGING = ("poisoned-comp_ams_top_k", "poisoned-skipping", "overflowing-dist_sgd")
SERVERS = ("rank0", "replicated")
ALL = [f"{name}/{server}" for name in CASES for server in SERVERS]


def with_server(case: dict[str, Any], server: str) -> dict[str, Any]:
    changed = copy.deepcopy(case)
    changed["runtime"]["server"] = server
    return changed


def simulate(case: dict[str, Any]) -> tuple[list[dict[str, Any]], torch.Tensor, str]:
    parsed = RunConfig.parse(case)
    seeds = Seeds(parsed.seed)
    problem = parsed.problem.build(N, seeds, torch.device("cpu"))
    convention = accounting.convention(parsed.log.convention)
    runtime = Simulated(problem, parsed.method, seeds, convention)
    loop = Loop(parsed, problem, runtime)
    loop.run()
    return loop.rows, runtime.x, loop.outcome


class Simulations(dict[str, tuple[list[dict[str, Any]], torch.Tensor, str]]):
    def __missing__(self, name: str) -> tuple[list[dict[str, Any]], torch.Tensor, str]:
        self[name] = simulate(CASES[name])
        return self[name]


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulations]:
    """With one thread, as the ranks: the order of a sum depends on the number."""
    with torch_threads(1):
        yield Simulations()


@pytest.fixture(scope="module")
def missing(simulated: Simulations) -> dict[str, str]:
    """Why there is no data for a case; the first problem of a kind is asked for its data."""
    reasons = {}
    for name in CASES:
        try:
            simulated[name]
        except DataUnavailable as error:
            reasons[name] = str(error)
    return reasons


@pytest.fixture(scope="module")
def reports(
    tmp_path_factory: pytest.TempPathFactory, missing: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """What each rank saw, by case and server: all in one start of four processes."""
    where = tmp_path_factory.mktemp("ranks")
    pairs = [each.split("/") for each in ALL]
    cases = {
        f"{name}/{server}": with_server(CASES[name], server)
        for name, server in pairs
        if name not in missing
    }
    (where / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={N}", f"--log-dir={where}", str(PROGRAMS / "rank.py")]
    subprocess.run(
        [*command, str(where / "cases.json"), str(where)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    ranks = [json.loads((where / f"{rank}.json").read_text()) for rank in range(N)]
    return {name: [rank[name] for rank in ranks] for name in [*cases, "checkpoints"]}


@pytest.fixture(params=ALL)
def case(request: pytest.FixtureRequest, missing: dict[str, str]) -> tuple[str, str]:
    name, server = request.param.split("/")
    if name in missing:
        pytest.skip(missing[name])
    return name, server


def same(a: Any, b: Any, relative: float) -> bool:
    if not isinstance(a, float):
        return bool(a == b)
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=relative)


def test_history_equals_simulation(
    case: tuple[str, str], reports: dict[str, Any], simulated: Simulations
) -> None:
    name, server = case
    rows, x, outcome = simulated[name]
    ranks = reports["/".join(case)]
    lead, relative = ranks[0], ROUNDED.get(name, 0.0)
    assert lead["outcome"] == outcome == ("diverged" if name in DIVERGING else "completed")
    assert [rank["rows"] for rank in ranks[1:]] == [[]] * (N - 1)
    downlink = {"downlink_bits_wire", "downlink_bits_paper"}
    for mine, theirs in zip(lead["rows"], rows, strict=True):
        for column, value in theirs.items():
            expected = 0 if server == "replicated" and column in downlink else value
            assert same(mine[column], expected, relative), (theirs["step"], column)
    for rank in ranks:
        assert rank["x"] == lead["x"]
    apart = torch.tensor(lead["x"], dtype=torch.float64) - x.double()
    assert apart.norm() <= relative * x.double().norm()


# The payloads of a round that diverges are sent, and not counted.
@pytest.mark.parametrize(
    "case", [each for each in ALL if each.split("/")[0] not in DIVERGING], indirect=True
)
def test_bytes_of_collectives_are_the_wire_bits(
    case: tuple[str, str], reports: dict[str, Any]
) -> None:
    _, server = case
    ranks = reports["/".join(case)]
    last = ranks[0]["rows"][-1]
    seen = [rank["seen"] for rank in ranks]
    payloads = [rank["own"] for rank in ranks]
    assert 8 * sum(payloads) == ranks[0]["meter"]["wire"]
    assert 8 * sum(payloads) // N == last["uplink_bits_wire"]
    if server == "rank0":
        assert [each.get("sent.payload", 0) for each in seen] == [0, *payloads[1:]]
        assert 8 * seen[0]["broadcast.payload"] == last["downlink_bits_wire"]
        assert not any("broadcast.payload" in each for each in seen[1:])
    else:
        assert [each["broadcast.payload"] for each in seen] == payloads
        assert last["downlink_bits_wire"] == 0
    assert not any("gathered.payload" in each for each in seen)


def test_control_traffic_is_counted_apart(case: tuple[str, str], reports: dict[str, Any]) -> None:
    ranks = reports["/".join(case)]
    seen = [rank["seen"] for rank in ranks]
    sent = sum(each.get("sent.control", 0) for each in seen)
    ordered = seen[0]["broadcast.control"]
    gathered = sum(each.get("gathered.control", 0) for each in seen)
    assert ranks[0]["control_bytes"] == sent + ordered + gathered


def test_skipping_workers_send_five_bytes(reports: dict[str, Any]) -> None:
    for server in SERVERS:
        ranks = reports[f"generated-skipping/{server}"]
        spoken = [rank["own"] for rank in ranks]
        full = reports[f"generated-comp_ams_top_k/{server}"][0]["own"]
        assert all(5 * ROUNDS < each < full for each in spoken)


def test_ranks_go_on_from_the_last_checkpoint_that_all_have(reports: dict[str, Any]) -> None:
    for rank, found in enumerate(reports["checkpoints"]):
        assert found == {
            "none": None,
            "files": [f"checkpoint.rank{rank}.step5.pt"],
            "one is ahead": 5,
            "of another run": None,
            "one is damaged": None,
        }


def test_shared_worker_state_is_refused() -> None:
    parsed = RunConfig.parse(config(GENERATED, METHODS["qadam"] | {"shared_state": True}))
    state = parsed.method.init(torch.zeros(3), N)
    with pytest.raises(ConfigError, match=r"qadam keeps 1 row\(s\) .*'m' for 4 workers"):
        own_row(state.workers, 0, N, "qadam")


def test_statistics_of_all_workers_are_refused() -> None:
    parsed = RunConfig.parse(config(GENERATED, METHODS["qadam"]))
    problem = parsed.problem.build(N, Seeds(0), torch.device("cpu"))
    require_own_state(problem)
    problem.joint_state = True
    with pytest.raises(ConfigError, match=r"problem.statistics: averaged .* allowed: worker_0"):
        require_own_state(problem)
