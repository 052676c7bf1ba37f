"""How to read the page: its words, explained."""

from __future__ import annotations

from search.facts import ReportFacts
from search.report.cost_words import words_of
from search.report.page.embedding import safe

_COST = {
    False: """<div><dt>Speedup</dt><dd>How many times as fast as FP32 the version is. Both were timed in turn in the
same processes on the device, so that a busy or warm machine slows both.</dd></div>
<div><dt>Latency grade</dt><dd><b>clean</b>: the machine was quiet. <b>contended</b>: other programs ran, and the
figure comes from processor time. <b>unreliable</b>: not used to rank anything.</dd></div>""",
    True: """<div><dt>Instructions</dt><dd>How many instructions one inference executes, in millions, counted in an
emulator that runs the target's own runtime. They are a cost to compare candidates by, and <b>not time</b>: how many a
processor executes at once, and how long its memory takes, is not in them. Search again on the device before you promise
a latency.</dd></div>
<div><dt>Instructions grade</dt><dd><b>emulated</b>: counted, not timed. The interval is the range over repeats.</dd>
</div>""",
}
_TARGET = """<div><dt>On the target</dt><dd>The metric as the target's own kernels give it, and this host's
metric of the same samples. 8-bit networks answer differently on other processors and engines. <b>Differs beyond the
interval</b>: more than the 95% interval of the paired difference explains; then the target's figure is the one that its
users will see, and the one that budgets are held against.</dd></div>"""
_FRONT = """<div><dt>The front</dt><dd>Compressed versions that no other one beats in both $cost and $metric. Less
$cost than a point on the front means less accurate, and the other way round. The <b>knee</b> is the point farthest from
the straight line between the front's two ends ($cost and $metric each scaled to the front's range): a good choice when
you have no budget of your own.</dd></div>
<div><dt>Budgets</dt><dd>What breaks one is greyed out in the plot and in the table. Of the confirmed points that keep
them the page names the one that <code>paretune select</code> would choose: with a limit on the drop the $best, without
one the most accurate. Points off the front count too: one of them may be the smallest.</dd></div>"""
_REST = """<div><dt>Drop</dt><dd>FP32's $metric minus the version's own, on the same samples, in $unit. Below zero
means better than FP32.</dd></div>
<div><dt>[low, high]</dt><dd>A 95% interval, and the bars in the plot: measured again in the same way, 95 of 100 such
intervals hold the true value. When the intervals of two points overlap widely, do not count on their order.</dd></div>
<div><dt>Search value and confirmed value</dt><dd>The search picks what looked best, and so partly what was lucky.
Points of the front are therefore measured afresh, on samples that the search never saw: these are the confirmed
values, and the ones to rely on. They are usually a little worse. Grey points are search values, placed by their drop
from FP32.</dd></div>"""
_RECOVERED = """<div><dt>Recovered (#…r, triangles)</dt><dd>The candidate of that number with weights that were
recovered after the search, by training or by refitting; its own line says how, and from what data. It is a candidate of
its own: built, checked, measured and confirmed like any other. The dotted line is the front as it was before.</dd>
</div>"""

_TRAINED = """<div><dt>Trained in the search (triangles)</dt><dd>The candidates of this search were trained for $epochs
before they got their figures, so that it went where trained networks are good; what had nothing to win back, or won
nothing, is as its policy gives it. Trials that were stopped were not worth a training, and have the figures of
untrained candidates, which are not shown here. <b>#…r</b> was trained on after the search; the dotted line is the front
as it was before.</dd></div>"""


def explained(facts: ReportFacts, *, shows_target: bool, shows_recovered: bool = False) -> str:
    """Write the list of what the page's words mean for a run of this kind."""
    from string import Template

    words = {
        "cost": words_of(facts).cost,
        "metric": safe(facts.metric_name),
        "unit": "percentage points" if facts.metric_is_fraction else "the metric's unit",
        "epochs": "1 epoch each" if facts.search_epochs == 1 else f"{facts.search_epochs} epochs each",
        "best": "one with the fewest instructions" if facts.is_emulated else "fastest",
    }
    front, rest, trained = (Template(text).substitute(words) for text in (_FRONT, _REST, _TRAINED))
    recovered = [_RECOVERED] if shows_recovered else []
    if facts.search_epochs is not None:
        recovered = [trained]
    return "\n".join([front, _COST[facts.is_emulated], *([_TARGET] if shows_target else []), *recovered, rest])
