"""From result files to the report, the explorer and the published copy, by the commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import histories
import pytest
from typer.testing import CliRunner

from wiregrad.analysis.report import explorer
from wiregrad.analysis.results import aggregate
from wiregrad.cli import app, main, mount
from wiregrad.core.errors import RecordError
from wiregrad.studies.plan import load_plan

mount.all_commands(app)
OPTIONS = ["--scale", "cpu", "--config-dir", "config"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with config/ and results/cpu/ of the toy paper."""
    histories.config_dir(tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    histories.toy_tree(Path())
    return tmp_path


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose report has been written; only to be read."""
    root = tmp_path_factory.mktemp("reported")
    histories.config_dir(root / "config")
    histories.toy_tree(root)
    options = ["--scale", "cpu", "--config-dir", str(root / "config")]
    call("report", *options, "--results", str(root / "results"), "--figures", str(root / "figures"))
    return root


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


class Page(HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        if "href" in found:
            self.links.append(str(found["href"]))
        if "src" in found:
            self.sources.append(str(found["src"]))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_offline_page_with_everything(reported):
    html = (reported / "results/cpu/report.html").read_text()
    page = Page(html)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert len(page.sources) == 2  # the third figure has no runs
    inner = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inner} <= page.ids
    assert set(page.links) - set(inner) == {"explorer.html"}
    assert "http" not in html.replace("http-equiv", "")
    assert "link" not in page.tags  # nothing is loaded from anywhere
    for said in (
        "Scale cpu tests 2 of 4 claims: near, cheap.",
        "3 of the paper's 100 epochs",
        "not run: left out on purpose",
        "not run: no data: toy <i>is gone</i>",  # escaped: it arrives as text
        "At the edge of the tuning grid",
        histories.REVISION,
        "sha256 " + "a" * 64,
        "Sparse & signed",
        "Rounds to the target.",
    ):
        assert said in page.text, said
    assert {"claim-near", "claim-cheap", "claim-long", "claim-else"} <= page.ids
    assert "i" not in page.tags


def test_what_a_scale_leaves_out_is_folded_with_each_reason_once(reported):
    html = (reported / "results/cpu/report.html").read_text()
    for what in ("Claims", "Figures", "Experiments"):
        folded = html.split(f"<details><summary>{what} not tried at this scale: 1</summary>")[1]
        assert folded.split("</details>")[0].count("left out on purpose") == 1
    table = html.split('<table class="claims">')[1].split("</table>")[0]
    assert 'id="claim-long"' in table
    assert 'id="claim-else"' not in table  # its experiment is left out
    shown = html.split('id="toy-gaps"')[1].split("<details>")[0]
    assert "no data" in shown  # planned, and could not be run
    assert "left out on purpose" not in shown


def test_the_explorer_holds_every_curve_and_nothing_foreign(reported):
    html = (reported / "results/cpu/explorer.html").read_text()
    page = Page(html)
    assert page.sources == []
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    task, scaling = data["tasks"]
    assert [c["label"] for c in task["curves"]] == ["dense", "sparse"]
    assert [c["workers"] for c in scaling["curves"]] == [2, 4, 8]
    dense = task["curves"][0]
    assert dense["x"]["epoch"] == [0, 1, 2, 3]
    assert dense["y"]["train_loss"][0] == [2.0, 1.0, 0.4, 0.2]
    assert dense["y"]["accuracy"][0][-1] == pytest.approx(95.2)
    assert dense["y"]["grad_norm"][0] == [None] * 4


def test_a_title_cannot_end_the_script_that_holds_the_data(tree):
    methods = tree / "config/methods.yaml"
    methods.write_text(methods.read_text().replace("title: Dense", "title: </script><marquee>x"))
    plan = load_plan("cpu")
    path = explorer.write(plan, aggregate.collect(plan), tree / "explorer.html")
    page = Page(path.read_text())
    assert "marquee" not in page.tags
    assert page.tags.count("script") == 2


def test_writing_the_pages_again_gives_the_same_bytes(reported):
    pages = reported / "results/cpu"
    first = {f.name: f.read_bytes() for f in pages.glob("*.html")}
    drawn = (reported / "figures/toy/curves.svg").stat().st_mtime_ns
    options = ["--scale", "cpu", "--config-dir", str(reported / "config")]
    places = ["--results", str(pages.parent), "--figures", str(reported / "figures")]
    call("report", *options, *places)
    assert {f.name: f.read_bytes() for f in pages.glob("*.html")} == first
    # Pictures that are up to date are not drawn again.
    assert (reported / "figures/toy/curves.svg").stat().st_mtime_ns == drawn


def test_claims_and_tables_from_the_command_line(tree):
    said = call("claims", *OPTIONS)
    assert said.startswith("4 claims: 2 reproduced, 2 not tested at this scale.")
    rows = json.loads((tree / "results/cpu/claims.json").read_text())["claims"]
    assert {row["id"]: row["verdict"] for row in rows} == {
        "near": "reproduced",
        "cheap": "reproduced",
        "long": "not tested at this scale",
        "else": "not tested at this scale",
    }
    call("tables", "toy", "task", *OPTIONS)
    assert {f.name for f in (tree / "results/cpu/tables/toy").iterdir()} == {
        "task.csv",
        "task.md",
        "task.tex",
    }


def test_one_figure_goes_where_it_is_asked_to(tree):
    call("figure", "toy", "curves", *OPTIONS, "--out", "here/x.svg")
    assert {f.name for f in (tree / "here").iterdir()} == {"x.svg", "x.png"}
    call("figure", "toy", "none", *OPTIONS)
    assert (tree / "figures/toy/none.svg").exists()  # a picture that says "not run"


def files(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def test_everything_is_redrawn_from_the_published_histories(tree):
    call("publish", *OPTIONS)
    published, pictures = tree / "results/published/cpu", tree / "figures/published/cpu"
    names = {Path(name).name for name in files(published)}
    assert names == {
        "history.parquet",
        "run.json",
        "group.json",
        "tuning.json",
        "claims.csv",
        "claims.md",
        "claims.json",
        "task.csv",
        "task.md",
        "task.tex",
    }
    assert {Path(name).name for name in files(pictures)} == {
        "curves.svg",
        "curves.png",
        "speed.svg",
        "speed.png",
    }
    shutil.rmtree(tree / "results/cpu")
    again = [*OPTIONS, "--results", "results/published", "--out"]
    call("figure", "toy", "curves", "speed", *again, "again/figures")
    call("tables", "toy", *again, "again/results/tables")
    call("claims", *again, "again/results")
    assert files(tree / "again/figures") == files(pictures)
    for name, content in files(tree / "again/results").items():
        assert (published / name).read_bytes() == content


def test_publishing_replaces_a_whole_folder_or_nothing(tree):
    call("publish", *OPTIONS)
    shutil.rmtree(tree / "results/cpu/toy/scaling")
    call("publish", *OPTIONS)
    assert not (tree / "results/published/cpu/toy/scaling").exists()
    assert not (tree / "figures/published/cpu/toy/speed.svg").exists()
    before = files(tree / "results/published") | files(tree / "figures/published")
    victim = next((tree / "results/cpu/toy/task").rglob("history.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(RecordError, match=r"history\.parquet"):
        call("publish", *OPTIONS)
    assert files(tree / "results/published") | files(tree / "figures/published") == before
    assert [f.name for f in (tree / "results/published").iterdir()] == ["cpu"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figure", "toy", "fig9"], "unknown figure 'fig9' (known: curves, speed, none)"),
        (["tables", "toy", "x"], "unknown table 'x' (known: task)"),
        (["figure", "toy", "--out", "x.svg"], "one file takes one figure (got 3)"),
        (["claims", "--paper", "other"], "no paper 'other' (known: toy)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tree, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["wiregrad", *arguments, *OPTIONS])
    with pytest.raises(SystemExit) as status:
        main()
    assert status.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tree / "figures").exists()


def test_the_analysis_imports_no_torch(tree):
    code = (
        "import sys; from wiregrad.cli import main\n"
        "from wiregrad.analysis.report import explorer, page, publication\n"
        "try: main()\n"
        "finally: assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, "claims", *OPTIONS, "--quiet"], check=True)
