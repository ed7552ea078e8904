"""A small project of its own: two methods and one convex task on real data."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from processes import kill_tree
from waiting import PATIENCE

ROOT = Path(__file__).parents[2]

METHODS = {
    "dist_ams": {"title": "Dist-AMS", "rule": "dist_ams", "method": {"name": "dist_ams"}},
    "top_k": {
        "title": "COMP-AMS Top-k",
        "rule": "comp_ams",
        "method": {"name": "comp_ams", "compressor": {"name": "top_k", "ratio": 0.1}},
    },
}
TASK = {
    "title": "Adult, logistic regression",
    "problem": {"name": "logistic", "data": "a1a|a9a", "regulariser": "nonconvex", "lam": 0.1},
    "runtime": {"name": "simulated", "workers": 4},
    "budget": {"steps": 20},
    "log": {"every": 5},
    "methods": "all",
    "lr": {"default": 0.05},
    "seeds": [1, 2],
}
PAPER = {
    "paper": "tiny",
    "title": "A small paper",
    "arxiv": "0000.00000",
    "convention": "comp_ams",
    "experiments": {"convex": TASK},
    "figures": {
        "fig1": {
            "kind": "curves",
            "title": "Adult",
            "caption": "Loss against rounds.",
            "experiment": "convex",
            "x": ["round"],
            "y": ["train_loss"],
        }
    },
    "tables": {
        "final": {
            "title": "Adult",
            "caption": "Values at the end.",
            "experiment": "convex",
            "metrics": ["train_loss"],
        }
    },
    "claims": [],
}


@dataclass(frozen=True)
class Project:
    """A folder with a configuration of its own, worked on by the suite's Snakefile."""

    folder: Path
    started: list[subprocess.Popen] = field(default_factory=list)

    def write(self, path, content):
        """Put a YAML (or, given a string, any) file below the folder."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        file.write_text(text, encoding="utf-8")
        return file

    def command(self, *arguments):
        files = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder)]
        files += ["--workflow-profile", str(ROOT / "workflow/profiles/default")]
        return [sys.executable, "-m", "snakemake", *files, "--cores", "1", *arguments]

    def start(self, command, **options):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self.started.append(process)
        return process

    def stop(self):
        """Leave no process behind, whatever a test came to."""
        for process in self.started:
            kill_tree(process)

    def run(self, *arguments, status=0):
        """Output of a Snakemake call, which must end with `status`."""
        process = self.start(self.command(*arguments))
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, output + self.logs()
        return output

    def histories(self, label):
        """Bytes of the histories of a label, by run."""
        found = self.folder.glob(f"results/tiny/tiny/convex/{label}/*/history.parquet")
        return {file.parent.name: file.read_bytes() for file in found}

    def logs(self):
        """What the jobs said, for the message of a failed test."""
        found = sorted(self.folder.glob("results/*/logs/**/*.log"))
        return "".join(f"\n--- {log}\n{log.read_text(encoding='utf-8')}" for log in found)


@pytest.fixture
def project(tmp_path):
    """The small project: config/ with one paper and the scale `tiny`."""
    made = Project(tmp_path)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    config["scale"] = "tiny"
    config["resources"]["tiny"] = {"gpu": 0, "mem_mb": 2000, "runtime": 5}
    made.write("config/config.yaml", config)
    made.write("config/methods.yaml", METHODS)
    made.write("config/papers/tiny.yaml", PAPER)
    made.write("config/scales/tiny.yaml", {"scale": "tiny", "papers": {}})
    yield made
    made.stop()
