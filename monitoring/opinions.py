"""What production says of its own answers: pairs of a better and a worse one, single thumbs, and answers with scores.

A correction is better than each answer to its request that says something else; of two answers to one request, as by
champion and canary or shadow, that is better which scored as right while the other did not.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from components.data.opinions import Opinion
from components.records import Feedback, Logged, Preference, Scored, Thumb, Trace, request_id
from components.scorers import JsonSchemaScorer
from monitoring.candidates import Terms
from monitoring.labelling import drawn, is_drawn
from monitoring.lake import Lake
from monitoring.voices import Voices, content, voices
from monitoring.windows import best_scores


def opinions(lake: Lake, workload: str, since: float, terms: Terms) -> list[Opinion]:
    """What was said since a time, oldest request first. An answer of at least `terms.min_score` is right.

    As in a harvest, answers to prompts of a caller's own are left out, and so are failures, answers whose corrections
    contradict each other and better answers that the schema does not allow. A score between right and wholly wrong is
    no thumb. Nothing is learnt from what was set aside for labelling, on any route.
    """
    told, scores = lake.read(Feedback, workload, since), best_scores(lake.read(Scored, workload, since))
    known = {request_id(name) for name in (*(one.trace_id for one in told), *scores)}
    share = terms.labelling.share
    aside = {frozenset(one.input.items()) for one in drawn(lake, workload, share, (since, float("inf")))}
    traces = lake.about(workload, known, (since, float("inf")))[0]
    heard, scorer = voices(told, traces), JsonSchemaScorer(terms.schema or {})
    requests: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        set_aside = is_drawn(request_id(trace.id), share) or frozenset(trace.input.items()) in aside
        if not trace.input or trace.failed or set_aside:
            continue
        requests[request_id(trace.id)].append(trace)
    found: list[Opinion] = []
    for answers in requests.values():
        if any(one.id in heard.conflicts for one in answers):
            continue
        found += [one for one in _pairs(answers, heard, scores, terms.min_score) if _obeys(scorer, one)]
        found += _thumbs(answers, heard, terms.min_score)
        found += _logs(answers, scores)
    return found


def _pairs(
    answers: Sequence[Trace], heard: Voices, scores: Mapping[str, Scored], min_score: float
) -> Iterator[Opinion]:
    """A better answer to a request beside each other one that is worse; nothing where none is known to be better."""
    corrected = next((said for one in answers if (said := heard.counts.get(one.id)) and said.corrected), None)
    if corrected is not None:
        better, word = str(corrected.corrected), corrected
        worse = [one.text for one in answers if content(one.text) != content(better)]
    else:
        known = [(one, scores[one.id]) for one in answers if one.id in scores]
        right = next(((one, score) for one, score in known if score.value >= min_score), None)
        if right is None:
            return
        better, word = right[0].text, right[1]
        worse = [one.text for one, score in known if score.value < min_score]
    first = answers[0]
    for text in dict.fromkeys(worse):
        said = Preference(example_id=_name(first), chosen=better, rejected=text, input=first.input)
        yield Opinion(said=said, sender=word.sender, reviewed=word.reviewer)


def _thumbs(answers: Sequence[Trace], heard: Voices, min_score: float) -> Iterator[Opinion]:
    """What people called good or bad, answer by answer."""
    for one in answers:
        word = heard.counts.get(one.id)
        if word is not None and word.score is not None and (word.score >= min_score or word.score == 0):
            said = Thumb(example_id=_name(one), text=one.text, good=word.score > 0, input=one.input)
            yield Opinion(said=said, sender=word.sender, reviewed=word.reviewer)


def _logs(answers: Sequence[Trace], scores: Mapping[str, Scored]) -> Iterator[Opinion]:
    """Answers with their scores, whoever gave them. They were given greedily or nobody knows: no probability."""
    for one in answers:
        score = scores.get(one.id)
        if score is not None:
            said = Logged(example_id=_name(one), text=one.text, score=score.value, input=one.input)
            yield Opinion(said=said, sender=score.sender, reviewed=score.reviewer)


def _name(trace: Trace) -> str:
    """As the harvest calls an example of production."""
    return f"P-{request_id(trace.id)}"


def _obeys(scorer: JsonSchemaScorer, one: Opinion) -> bool:
    """Whether the schema allows the better answer; what is kept of it is masked, and may break it by that."""
    assert isinstance(one.said, Preference)
    return scorer.allows(one.said.chosen)
