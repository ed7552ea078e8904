"""The curves of tunings."""

from dataclasses import replace

import histories

from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.studies.files import TuningResult

ABOUT = {"title": "T", "caption": "C", "experiment": "task"}


def tuned(values, best, *, settled=True, metric="loss_valid"):
    points = [{"settings": {"method.lr": rate}, "values": v} for rate, v in values.items()]
    chosen = {} if best is None else {"method.lr": best}
    about = {"metric": metric, "seeds": [8, 9], "budget": {"steps": 5}, "cap": 9}
    return TuningResult(points=points, best=best, chosen=chosen, settled=settled, **about)


def results(found):
    made = histories.results({(label, 4): [histories.history([2.0, 1.0])] for label in found})
    groups = tuple(replace(group, tuning=found[group.label]) for group in made.groups)
    return replace(made, groups=groups)


def draw(found):
    return figure_kinds.build({"kind": "tuning", **ABOUT}, "here").draw(results(found))


def test_every_rate_has_its_seeds_and_the_best_a_ring():
    found = {
        "a": tuned({0.1: (3.0, 5.0), 1.0: (1.0, 3.0), 10.0: (None, 2.0)}, 1.0),
        "b": tuned({0.1: (3.0, 5.0), 1.0: (1.0, 3.0)}, 1.0, settled=False),
    }
    figure, notes = draw(found)
    first, second = (axis for axis in figure.axes if axis.axison)
    line, *dots = first.get_lines()
    assert list(line.get_xdata()) == [0.1, 1.0]
    assert list(line.get_ydata()) == [4.0, 2.0]
    assert [list(each.get_ydata()) for each in dots if each.get_marker() == "."] == [[3, 5], [1, 3]]
    assert [list(each.get_xdata()) for each in dots if each.get_marker() == "x"] == [[10.0]]
    faces = [
        each.get_markerfacecolor()
        for axis in (first, second)
        for each in axis.get_lines()
        if each.get_marker() == "o"
    ]
    assert faces[0] != "white"
    assert faces[1] == "white"
    assert notes[0].startswith("Up to 3 rates a method")
    assert notes[1] == "Tuning not settled (hollow ring): B."


def test_where_every_rate_diverged_there_are_crosses_alone():
    figure, _ = draw({"a": tuned({0.1: (None, None), 1.0: (None, 1.0)}, None, settled=False)})
    (axis,) = figure.axes
    assert [each.get_marker() for each in axis.get_lines()][1:] == ["x", "x"]


def test_without_a_tuning_the_figure_says_so():
    figure, notes = draw({"a": None})
    (axis,) = figure.axes
    assert axis.texts[0].get_text().startswith("Nothing was tuned at this scale")
    assert notes == []
