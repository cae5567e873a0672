"""Opinions from production: pairs of a better and a worse answer, thumbs, and scored answers.

A correction is better than each different answer to its request. Of two answers to one request, as from champion and
canary or shadow, the one that scored as right is better if the other did not.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from components.data.harvest import HARVESTED
from components.data.opinions import Opinion
from components.records import Feedback, Logged, Preference, Scored, Thumb, Trace, request_id
from components.scorers import JsonSchemaScorer
from monitoring.candidates import Terms
from monitoring.labelling import drawn, is_drawn
from monitoring.lake import Lake
from monitoring.voices import Voices, content, replaces, voices
from monitoring.windows import best_scores


def opinions(lake: Lake, workload: str, since: float, terms: Terms) -> list[Opinion]:
    """Opinions since a time, oldest request first. An answer that scores at least `terms.min_score` is right.

    As in a harvest, answers to callers' own prompts, failures, answers with contradictory corrections and better
    answers that the schema does not allow are left out, and so are answers that were cut: training would take their
    last words for their end. A score between right and 0 is no thumb. The labelling sample
    is left out on all routes, because nothing may be learnt from it.
    """
    feedback, scores = lake.read(Feedback, workload, since), best_scores(lake.read(Scored, workload, since))
    known = {request_id(name) for name in (*(answer.trace_id for answer in feedback), *scores)}
    share = terms.labelling.share
    aside = {frozenset(answer.input.items()) for answer in drawn(lake, workload, share, (since, float("inf")))}
    traces = lake.about(workload, known, (since, float("inf")))[0]
    accepted, scorer = voices(feedback, traces), JsonSchemaScorer(terms.schema or {})
    requests: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        set_aside = is_drawn(request_id(trace.id), share) or frozenset(trace.input.items()) in aside
        if not trace.input or trace.failed or trace.cut or set_aside:
            continue
        requests[request_id(trace.id)].append(trace)
    collected: list[Opinion] = []
    for answers in requests.values():
        if any(answer.id in accepted.conflicts for answer in answers):
            continue
        collected += [answer for answer in _pairs(answers, accepted, scores, terms.min_score) if _obeys(scorer, answer)]
        collected += _thumbs(answers, accepted, terms.min_score)
        collected += _logs(answers, scores)
    return collected


def _pairs(
    answers: Sequence[Trace], accepted: Voices, scores: Mapping[str, Scored], min_score: float
) -> Iterator[Opinion]:
    """Pairs of the better answer to a request and each worse one; none if no answer is known to be better."""
    corrected = next((said for answer in answers if (said := accepted.counts.get(answer.id)) and said.corrected), None)
    if corrected is not None:
        better, word = str(corrected.corrected), corrected
        worse = [answer.text for answer in answers if content(answer.text) != content(better)]
    else:
        known = [(answer, scores[answer.id]) for answer in answers if answer.id in scores]
        right = next(((answer, score) for answer, score in known if score.value >= min_score), None)
        if right is None:
            return
        better, word = right[0].text, right[1]
        worse = [answer.text for answer, score in known if score.value < min_score]
    first = answers[0]
    for text in dict.fromkeys(worse):
        said = Preference(example_id=_name(first), chosen=better, rejected=text, input=first.input)
        yield Opinion(said=said, sender=word.person, reviewed=word.reviewer)


def _thumbs(answers: Sequence[Trace], accepted: Voices, min_score: float) -> Iterator[Opinion]:
    """A thumb for each answer that people rated good or bad."""
    for answer in answers:
        rating = accepted.counts.get(answer.id)
        if rating is None or rating.score is None or (rating.score > 0 and replaces(rating, answer.text)):
            continue
        if rating.score >= min_score or rating.score == 0:
            said = Thumb(example_id=_name(answer), text=answer.text, good=rating.score > 0, input=answer.input)
            yield Opinion(said=said, sender=rating.person, reviewed=rating.reviewer)


def _logs(answers: Sequence[Trace], scores: Mapping[str, Scored]) -> Iterator[Opinion]:
    """Answers with their scores; without the probability that they were drawn with, which is not recorded."""
    for answer in answers:
        score = scores.get(answer.id)
        if score is not None:
            said = Logged(example_id=_name(answer), text=answer.text, score=score.value, input=answer.input)
            yield Opinion(said=said, sender=score.person, reviewed=score.reviewer)


def _name(trace: Trace) -> str:
    """The harvest's name for an example from production."""
    return f"{HARVESTED}{request_id(trace.id)}"


def _obeys(scorer: JsonSchemaScorer, opinion: Opinion) -> bool:
    """Whether the schema allows the better answer, which masking may have broken."""
    assert isinstance(opinion.said, Preference)
    return scorer.allows(opinion.said.chosen)
