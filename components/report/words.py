"""The run in words, and numbers formatted for people. Pure."""

from decimal import Decimal

from markupsafe import Markup, escape  # Jinja's

from components.evaluation import NO_CHAMPION
from components.records import Comparison, Ladder, RungResult


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after each underscore."""
    return escape(name).replace("_", Markup("_<wbr>"))


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{100 * share:.1f}%"


def points(delta: float) -> str:
    """A difference of shares in signed percentage points."""
    return f"{100 * delta:+.1f}".replace("-", "−")


def usd(amount: float) -> str:
    """Dollars: without cents from 100, with cents from 1, below that three significant digits."""
    if amount >= 99.995:
        return f"${amount:,.0f}"
    if amount >= 0.9995 or amount == 0:
        return f"${amount:.2f}"
    return f"${Decimal(f'{amount:.3g}'):f}"


def relative(was: float, now: float) -> str:
    """The signed relative change from a positive amount; near −100 % with another decimal, because nothing is free."""
    change = (now - was) / was
    return f"{change:+.{1 if -1 < change < -0.99 else 0}%}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value with its relation sign."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 5_400:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def milliseconds(amount: float) -> str:
    """A latency."""
    return f"{amount / 1000:.2f} s" if amount >= 1000 else f"{amount:.0f} ms" if amount >= 10 else f"{amount:.1f} ms"


def champion(ladder: Ladder) -> RungResult | None:
    """The rung that stands after the gate, or without one the best; None if a registered version does, or nobody."""
    if ladder.gate is None:
        return best(ladder)
    name = ladder.gate.challenger if ladder.gate.decision == "promoted" else ladder.gate.champion
    return next((rung for rung in ladder.rungs if rung.name == name), None)


def winner(ladder: Ladder) -> RungResult:
    """The rung that the record is about: the champion, or else the best one."""
    return champion(ladder) or best(ladder)


def standing(ladder: Ladder) -> str:
    """Who stands after the gate: a rung, a registered version, or nobody."""
    if (rung := champion(ladder)) is not None:
        return rung.name
    assert ladder.gate is not None
    if ladder.gate.decision == "kept" and ladder.gate.champion != NO_CHAMPION:
        return ladder.gate.champion
    return "nobody" if ladder.version is None else f"version {ladder.version}"


def best(ladder: Ladder) -> RungResult:
    """The most accurate rung on test, the first of equals: rungs are ordered from simple to elaborate."""
    return max(ladder.rungs, key=lambda rung: rung.accuracy.value)


def best_prompt(ladder: Ladder) -> RungResult | None:
    """The prompt chosen on dev, with which the first model is compared; without a model, the most accurate prompt.

    None if there is no prompt rung.
    """
    prompts = {rung.name: rung for rung in ladder.rungs if rung.makes == "prompt"}
    for rung in ladder.rungs:
        if rung.makes == "model" and rung.parent in prompts:
            return prompts[rung.parent]
    return max(prompts.values(), key=lambda rung: rung.accuracy.value, default=None)


def legend(ladder: Ladder) -> str:
    """What a star means in a table of the rungs; without one, who stands."""
    return f"{standing(ladder)} stands" if champion(ladder) is None else "★ champion"


def headline(ladder: Ladder) -> str:
    """The outcome in a sentence."""
    top = winner(ladder)
    if champion(ladder) is None:
        best_of = f"{top.name}, the best rung, answers {percent(top.accuracy.value)} of cases exactly right"
        return f"{standing(ladder).capitalize()} stands after the gate; {best_of}."
    if top.makes == "classifier":
        return f"The classical rung wins, right in {percent(top.accuracy.value)} of cases."
    return f"{top.name} answers {percent(top.accuracy.value)} of cases exactly right."


def verdict(ladder: Ladder, calls_per_year: int, incumbent: str = "") -> str:
    """The outcome in a paragraph: the champion's gain, over which rung, at what cost, and the gate's decision."""
    top = winner(ladder)
    sentences = (
        _gain(top),
        _demonstrations(ladder, top),
        _classical(ladder, top),
        _money(ladder, top, f"A year of {calls_per_year:,} calls", incumbent),
        _decision(ladder),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _classical(ladder: Ladder, top: RungResult) -> str:
    floor = next((rung for rung in ladder.rungs if rung.makes == "classifier"), None)
    if floor is None:
        return ""
    if top is floor:
        return "No rung above TF-IDF with a linear model proved better, so no language model is needed."
    share = percent(floor.accuracy.value)
    if floor.accuracy.value >= top.accuracy.value:
        return (
            f"The classical rung {floor.name} is right in {share} of cases and so no worse than {top.name}: prefer it."
        )
    gap = 100 * (top.accuracy.value - floor.accuracy.value)
    return f"TF-IDF with a linear model, the honest floor, reaches {share}: {gap:.1f} points less."


def _gain(top: RungResult) -> str:
    gain = top.vs_parent
    if gain is None or top.parent is None:
        return ""
    size = 100 * abs(gain.delta)
    direction = "above" if gain.delta >= 0 else "below"
    return (
        f"{top.name} is {size:.1f} points {direction} its parent {top.parent} "
        f"({p_value(gain.p_value)}{_unsure(gain)}): {gain.fixed:,} answers fixed, {gain.broken:,} broken."
    )


def _unsure(gain: Comparison) -> str:
    return "" if gain.p_value < 0.05 else ", which may be chance"


def _demonstrations(ladder: Ladder, top: RungResult) -> str:
    taught = ladder.data.demonstration_accuracy
    if top.makes != "model" or taught is None:
        return ""
    gap = 100 * (top.accuracy.value - taught)
    return (
        f"The demonstrations that it learnt from are right in {percent(taught)}, so it is {abs(gap):.1f} points "
        f"{'better' if gap >= 0 else 'worse'} than its teachers."
    )


def _money(ladder: Ladder, top: RungResult, year: str, incumbent: str) -> str:
    prompt = best_prompt(ladder)
    own = f"{year} costs {usd(top.cost.usd_per_year)}"
    if prompt is None or prompt is top:
        return own + ("." if top.cost.measured else ", priced from its tokens and not measured.")
    name = f"the best prompt, {prompt.name}" + (f" on {incumbent}" if incumbent and not prompt.cost.measured else "")
    how = "" if prompt.cost.measured else ", priced from its tokens and not measured"
    was, now = prompt.cost.usd_per_year, top.cost.usd_per_year
    change = f": {relative(was, now).lstrip('+−')} {'less' if now <= was else 'more'}" if was else ""
    return f"{own}, against {usd(was)} for {name}{how}{change}."


def _decision(ladder: Ladder) -> str:
    if ladder.gate is None:
        return "No gate has decided yet."
    gate = ladder.gate
    if gate.decision == "promoted":
        return f"The gate promoted {gate.challenger}."
    if gate.champion == NO_CHAMPION:
        kept = "there is no champion" if ladder.version is None else f"version {ladder.version} stays champion"
        return f"The gate refused {gate.challenger}, and {kept}."
    return f"The gate kept {gate.champion}: {gate.challenger} did not pass."
