"""How large the report of a long run is, and how soon it can be used: in a real browser, headless.

Ready means: every point is drawn and opens its layers on a click, the front answers the keyboard, and the sliders grey
out what breaks them; `_use_at_once` does each of these before anything else may load. Drawn means: plotly.js, which
loads when the browser has time, has taken the first drawing's place, with zoom and legend. Meanwhile it holds the page
up for as long as `blocked_longest` says. Times are from the navigation, in Chromium on this machine: the best of
several, since others may be at work here. What they cost in processor time is said beside them.
"""

import random
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Figure, parser, report

TRIALS, LAYERS = 2000, 60
REPEATS, QUICK_REPEATS = 7, 2
_FORMATS = ((32, "fp32"), (8, "int8"), (8, "int8-dynamic"), (4, "int4-weights"))
_PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


# No idle time until `releaseIdle()`, so that what comes first can be told from what comes later.
_HOLD_IDLE = """
  const held = [];
  window.requestIdleCallback = (run) => held.push(run);
  window.releaseIdle = () => {
    window.requestIdleCallback = (run) => setTimeout(run);
    held.forEach((run) => run());
  };
  window.longestBlockMs = 0;
  new PerformanceObserver((list) => {
    list.getEntries().forEach(({ duration }) => { longestBlockMs = Math.max(longestBlockMs, duration); });
  }).observe({ type: "longtask" });
"""


def main() -> None:
    """Run the benchmark."""
    options = parser(__doc__, quick=f"{QUICK_REPEATS} repeats instead of {REPEATS}").parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium on the path: install the system's package (Debian: chromium)")
    began_s = time.perf_counter()
    text = long_run_page()
    written_s = time.perf_counter() - began_s
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pareto.html"
        path.write_text(text, encoding="utf-8")
        visits = open_in(chromium, path, QUICK_REPEATS if options.quick else REPEATS)
    figures = {
        "page_size": Figure(value=len(text.encode()) / 1e6, unit="MB", better="lower", asked=5.0),
        "ready_best": Figure(value=min(visit["ready_s"] for visit in visits), unit="s", better="lower", asked=2.0),
        "ready_median": Figure(value=median(visit["ready_s"] for visit in visits), unit="s", better="lower"),
        **{
            f"{name}_median": Figure(value=median(visit[f"{name}_s"] for visit in visits), unit="s", better="lower")
            for name in ("ready_cpu", "first_slider_cpu", "drawn_cpu", "slider_cpu", "blocked_longest")
        },
        "written": Figure(value=written_s, unit="s", better="lower"),
    }
    report("report_page", figures)


def long_run_page(trials: int = TRIALS, layers: int = LAYERS, seed: int = 0) -> str:
    """The page of a made-up run: every layer at random in one of four formats, with sparsity and rank."""
    from search.facts import ReportFacts
    from search.point import FP32_LABEL, TrialPoint
    from search.report.page import page_text

    rng = random.Random(seed)
    names = [f"features.{layer // 3}.block.{layer % 3}.conv" for layer in range(layers)]

    def layer_of(number: int) -> dict[str, Any]:
        bits, name = _FORMATS[0] if number == 0 else rng.choice(_FORMATS)
        ranks = (None, None, 0.75, 0.5, 0.25)
        sparsity = 0.0 if number == 0 else rng.choice((0.0, 0.125, 0.25, 0.5, 0.75))
        return {"bits": bits, "format": name, "sparsity": sparsity, "rank": rng.choice(ranks) if number else None}

    def point(number: int) -> TrialPoint:
        ratio = 1.0 if number == 0 else rng.uniform(0.1, 1.0)
        drop = 0.0 if number == 0 else 0.05 * (1 - ratio) ** 2 + abs(rng.gauss(0, 0.01))
        confirmed = number == 0 or drop < 0.05 * (1 - ratio) ** 2 + 0.0002
        seen: dict[str, Any] = {"search_latency_ratio": ratio, "search_metric_drop": drop} if confirmed else {}
        return TrialPoint(
            number=number, digest=f"{rng.getrandbits(256):064x}", state="complete", grade="clean",
            label=FP32_LABEL if number == 0 else "", latency_ms=5 * ratio, latency_ratio=ratio,
            latency_ratio_low=0.99 * ratio, latency_ratio_high=1.01 * ratio, metric=0.9 - drop, metric_drop=drop,
            metric_drop_low=drop - 0.003, metric_drop_high=drop + 0.003, model_bytes=rng.randrange(10**6, 10**7),
            confirmed=confirmed, policy_summary=f"{rng.randrange(60)} layers int8, {rng.randrange(60)} at rank 0.5",
            layers={name: layer_of(number) for name in names}, **seen,
        )  # fmt: skip

    facts = ReportFacts(
        workload_name="made up", metric_name="top-1 accuracy", target_name="nowhere", device="none", runtime="none",
        fp32_latency_ms=5.0, fp32_metric_search=0.9, fp32_metric_confirmation=0.9, samples_search=1000,
        samples_confirmation=1000, trials_finished=trials, trials_failed=0, started_at=datetime.now(UTC),
        wall_seconds=0.0, paretune_version="0",
    )  # fmt: skip
    return page_text([point(number) for number in range(trials)], facts, run=Path("results/long"))


def open_in(chromium: str, path: Path, repeats: int) -> list[dict[str, float]]:
    """Open the page afresh, use it as soon as it is ready, and again when everything is drawn.

    Returns:
        Of each visit the seconds until it was ready, the processor seconds of its main thread until it was ready and
        until everything was drawn, those that a move of a slider takes at either time, and the longest that the page
        answered nobody after it was ready.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        visits = [_visit(browser, path) for _ in range(repeats)]
        browser.close()
    return visits


def _visit(browser: Any, path: Path) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.add_init_script(_HOLD_IDLE)
    page.goto(path.as_uri(), timeout=120_000)
    page.wait_for_selector("html[data-ready-ms]", timeout=120_000)
    ready_cpu_s = _task_seconds(session)
    first_slider_cpu_s = _slide(page, session, 2.5)
    _use_at_once(page)
    used_cpu_s = _task_seconds(session)
    page.evaluate("longestBlockMs = 0; releaseIdle()")
    page.wait_for_selector("html[data-drawn-ms]", timeout=120_000)
    drawn_cpu_s = ready_cpu_s + _task_seconds(session) - used_cpu_s
    seen = {
        "ready_s": float(page.evaluate("document.documentElement.dataset.readyMs")) / 1000,
        "ready_cpu_s": ready_cpu_s,
        "first_slider_cpu_s": first_slider_cpu_s,
        "drawn_cpu_s": drawn_cpu_s,
        "blocked_longest_s": float(page.evaluate("longestBlockMs")) / 1000,
        "slider_cpu_s": _slide(page, session, 1.5),
    }
    page.close()
    return seen


def _slide(page: Any, session: Any, limit: float) -> float:
    before_s = _task_seconds(session)
    page.evaluate(f"paretune.setLimit('cost', {limit}); {_PAINTED}")
    return _task_seconds(session) - before_s


def _use_at_once(page: Any) -> None:
    """Do what a reader does: it must already work."""
    front = page.locator("#sketch .mark", has=page.locator("title"))
    greyed = page.locator("#sketch .mark.broken").count()
    last = front.nth(front.count() - 2)  # the last of the front; FP32 comes after it
    number = (last.locator("title").text_content() or "").split()[0]
    last.locator("path").last.click()
    clicked = page.locator("#policy-title").text_content() or ""
    page.locator("#keys").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    first = page.locator("#policy-title").text_content() or ""
    rows = page.locator("#policy-table tbody tr").count()
    if not (greyed and number in clicked and "FP32" in first and rows == LAYERS):
        raise SystemExit(
            f"the page says that it is ready and is not: {greyed} marks greyed out, {clicked!r} after a click on "
            f"{number}, {first!r} after a key, {rows} of {LAYERS} layers shown"
        )


def _task_seconds(session: Any) -> float:
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


if __name__ == "__main__":
    main()
