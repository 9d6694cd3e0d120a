# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, ratios to native and to TCG, the geometric mean, and the project's goals held against them."""
import dataclasses
import math
import re
import statistics

NOT_IN_THE_MEAN = ("nothing", "smp.one-load", "smp.two-loads", "idle")


@dataclasses.dataclass
class Goal:
    """Limits that are None are not asked for. `faster`: how many times less than TCG."""
    title: str
    rows: str
    median: float | None = None   # of the ratios to native
    worst: float | None = None
    faster: float | None = None
    except_faster: str = r"^$"


GOALS = [
    Goal("integer, libraries, pointer chases", r"^(integer|library|chase)\.", 2.0, 3.0, 2.0, r"^chase\.ram$"),
    Goal("floating point, memory", r"^(float|memory)\.", 1.5, 2.5, 10.0),
    Goal("kernel", r"^kernel\.", faster=2.0),
    Goal("code made at run time, cold code", r"^code\.", faster=1.0),
    Goal("ISO boot to /init", r"^boot\.iso\.init$", faster=2.0),
    Goal("direct boot to /init", r"^boot\.direct\.init$", faster=4.0),
    Goal("installer's language page", r"^boot\.installer\.language$", faster=2.0),
]
MEAN_GOAL, THROUGHPUT_GOAL, IDLE_GOAL = 5.0, 1.9, 0.02


def summary(values):
    """Median, half the range relative to it, and the values."""
    middle = statistics.median(values)
    return {"median": middle, "spread": (max(values) - min(values)) / 2 / middle if middle else 0.0, "values": values}


def program_cost(samples):
    """What is kept of one engine's samples; costs in ns per operation."""
    return {"cost": summary([sample.cpu / sample.count * 1e9 for sample in samples]),
            "clock": summary([sample.wall / sample.count * 1e9 for sample in samples]),
            "processors": statistics.median(sample.processors for sample in samples),
            "count": samples[0].count, "cpu_seconds": statistics.median(sample.cpu for sample in samples)}


def boot_cost(boots):
    """The same of boots, in s."""
    return {key: summary([times[name] for times in boots]) for key, name in (("cost", "cpu"), ("clock", "wall"))}


def collect(results, boots, boot_missing):
    """{row: {"unit", "engines": {engine: costs}, "missing": {engine: why}}}"""
    table = {}
    for name, row in results.rows.items():
        engines = {engine: program_cost(samples) for engine, samples in results.samples[name].items()}
        if engines or results.missing[name]:
            table[name] = {"unit": row.unit, "engines": engines, "missing": results.missing[name]}
    for name in dict.fromkeys([*boots, *boot_missing]):
        engines = {engine: boot_cost(found) for engine, found in boots.get(name, {}).items()}
        table[name] = {"unit": "core" if name == "idle" else "s", "engines": engines,
                       "missing": boot_missing.get(name, {})}
    for row in table.values():
        add_ratios(row["engines"])
    return table


def add_ratios(engines):
    for engine in engines.values():
        for base in ("native", "tcg"):
            if base in engines and engines[base]["cost"]["median"] > 0:
                engine[f"to_{base}"] = engine["cost"]["median"] / engines[base]["cost"]["median"]


def times_faster(row, engine):
    """How many times less than TCG, or None."""
    ratio = row["engines"].get(engine, {}).get("to_tcg")
    return 1 / ratio if ratio else None


def geometric_mean(table, engine):
    """(how many times less than TCG, over how many rows) or None."""
    faster = [times_faster(row, engine) for name, row in table.items() if name not in NOT_IN_THE_MEAN]
    faster = [value for value in faster if value]
    return (math.exp(sum(map(math.log, faster)) / len(faster)), len(faster)) if faster else None


def throughput(table, engine):
    """Two loads on two processors against one: as the guest's clock saw it, and as it would be on two free processors:
    how many the guest's threads wanted at a time, by how much more a unit of work cost."""
    one, two = (table.get(name, {}).get("engines", {}).get(engine) for name in ("smp.one-load", "smp.two-loads"))
    if not one or not two or not two["processors"]:
        return None
    return {"clock": 2 * one["clock"]["median"] / two["clock"]["median"],
            "free": min(two["processors"], 2.0) * 2 * one["cost"]["median"] / two["cost"]["median"]}


def subject(table):
    """The engine the goals are about: the translator, or the interpreter where there is none yet."""
    return next((name for name in ("jit", "interp") if any(name in row["engines"] for row in table.values())), None)


def judge_native(goal, rows, engine):
    ratios = {name: row["engines"][engine]["to_native"] for name, row in rows.items() if "to_native" in row["engines"][engine]}
    if goal.median is None or not ratios:
        return None
    middle, worst = statistics.median(ratios.values()), max(ratios, key=ratios.get)
    return (f"{middle:.2f}× native (≤ {goal.median:g}), worst {worst} {ratios[worst]:.2f}× (≤ {goal.worst:g})",
            middle <= goal.median and ratios[worst] <= goal.worst)


def judge_tcg(goal, rows, engine):
    faster = {name: times_faster(row, engine) for name, row in rows.items() if not re.search(goal.except_faster, name)}
    faster = {name: value for name, value in faster.items() if value}
    if goal.faster is None or not faster:
        return None
    least = min(faster, key=faster.get)
    return f"{faster[least]:.2f}× faster than TCG at least, {least} (≥ {goal.faster:g})", faster[least] >= goal.faster


def judge_all(table):
    """[(title, what was seen, was it reached)] for the subject"""
    engine = subject(table)
    found = []
    for goal in GOALS:
        rows = {name: row for name, row in table.items() if re.search(goal.rows, name) and engine in row["engines"]}
        verdicts = [verdict for verdict in (judge_native(goal, rows, engine), judge_tcg(goal, rows, engine)) if verdict]
        if verdicts:
            found.append((goal.title, "; ".join(seen for seen, _ in verdicts), all(good for _, good in verdicts)))
    both = throughput(table, engine)
    if both:
        found.append(("two loads on two processors", f"{both['free']:.2f}× one on free processors (≥ {THROUGHPUT_GOAL}), "
                      f"{both['clock']:.2f}× as busy as this machine was", both["free"] >= THROUGHPUT_GOAL))
    idle = table.get("idle", {}).get("engines", {}).get(engine)
    if idle:
        share = idle["cost"]["median"]
        found.append(("idle at a shell", f"{share:.2%} of a core (< {IDLE_GOAL:.0%})", share < IDLE_GOAL))
    mean = geometric_mean(table, engine)
    if mean:
        found.append(("geometric mean", f"{mean[0]:.2f}× faster than TCG over {mean[1]} rows (≥ {MEAN_GOAL:g})",
                      mean[0] >= MEAN_GOAL))
    return found


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def cell(row, name):
    """Cost with its spread, and the ratio to native."""
    engine = row["engines"].get(name)
    if engine is None:
        return "n/a"
    if row["unit"] == "core":
        return f"{engine['cost']['median']:.2%}"
    text = f"{number(engine['cost']['median'])} ±{engine['cost']['spread']:.0%}"
    return f"{text} ({number(engine['to_native'])}×)" if name != "native" and "to_native" in engine else text


def table_lines(table, names):
    skeps = [name for name in names if name in ("jit", "interp")]
    heads = ["row", "operation", *names, *(f"tcg / {name}" for name in skeps)]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for name, row in table.items():
        faster = [times_faster(row, skep) for skep in skeps]
        cells = [name, row["unit"], *(cell(row, engine) for engine in names)]
        lines.append(f"| {' | '.join(cells + [f'{number(value)}×' if value else '' for value in faster])} |")
    means = [geometric_mean(table, skep) for skep in skeps]
    cells = ["**geometric mean**", *[""] * (1 + len(names)), *(f"**{mean[0]:.2f}×**" if mean else "" for mean in means)]
    return [*lines, f"| {' | '.join(cells)} |"]


def missing_lines(table):
    """One line for each engine and reason."""
    rows = {}
    for name, row in table.items():
        for engine, why in row["missing"].items():
            if engine not in row["engines"]:
                rows.setdefault((engine, why), []).append(name)
    return [f"- {engine}: {why} ({', '.join(names) if len(names) < 6 else f'{len(names)} rows'})"
            for (engine, why), names in rows.items()]


def markdown(table, names, facts, wrong):
    lines = ["# Skep compared", "", facts, "",
             "Cost of one operation in ns of processor time (boots: seconds), median ± half the range; in brackets the "
             "ratio to native.", "", *table_lines(table, names)]
    if subject(table):
        lines += ["", f"## Goals, {subject(table)}", "", "| goal | seen | reached |", "|---|---|---|"]
        lines += [f"| {title} | {seen} | {'yes' if good else 'no'} |" for title, seen, good in judge_all(table)]
    if missing_lines(table):
        lines += ["", "## Not measured", "", *missing_lines(table)]
    if wrong:
        lines += ["", "## Wrong results", "", *(f"- {text}" for text in wrong)]
    return "\n".join(lines) + "\n"
