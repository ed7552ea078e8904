"""Jobs side by side on one machine take different GPUs."""

import json
import subprocess
import sys

import pytest

HOLD = """
import json, sys
from wiregrad import gpu
print(json.dumps([gpu.claim(sys.argv[1]), gpu.visible()]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Starts a process that claims a GPU and holds it; gives it, its GPU and what it then sees."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the locks lie
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    started = []

    def start(device="auto"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, *json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_take_two_gpus_and_a_killed_one_frees_its_own(hold):
    first, gpu_of_first, _ = hold()
    _, gpu_of_second, _ = hold()
    first.kill()
    first.communicate()
    _, gpu_of_third, _ = hold()
    assert (gpu_of_first, gpu_of_second, gpu_of_third) == ("GPU-a", "GPU-b", "GPU-a")


def test_a_claim_narrows_what_torch_will_see(hold):
    assert hold("cuda")[1:] == ("GPU-a", ["GPU-a"])


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_named_device_claims_nothing(hold, device):
    assert hold(device)[1:] == (None, ["GPU-a", "GPU-b"])


def test_slurm_deals_out_gpus_itself(hold, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert hold()[1] is None


def test_no_gpu_no_claim(hold, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hold()[1] is None
