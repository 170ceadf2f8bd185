"""The composer: parts in an order, as many as the target length has room for."""

from synth_pipeline.llm.offline.expander import Expander, MissingValue
from synth_pipeline.llm.offline.filters import as_text
from synth_pipeline.llm.offline.grammar import Composition, Order, Part
from synth_pipeline.llm.offline.template import Hole

SLACK_WORDS = 12
ROUNDS = 3
Sentences = list[str]


def compose(composition: Composition, expander: Expander, streams_name: str) -> Sentences:
    """Return the parts of one text, in order, labels as parts of the part that follows them.

    Args:
        composition: the orders it may take.
        expander: writes the parts.
        streams_name: names the random stream that picks the order and the optional parts.
    """
    order = _pick_order(composition, expander, streams_name)
    texts = {at: _write(part, expander) for at, part in enumerate(order) if not part.optional and not part.label}
    _add_optional(order, texts, _target(composition, expander), expander, streams_name)
    return _in_order(order, texts, expander)


def _pick_order(composition: Composition, expander: Expander, name: str) -> Order:
    orders = composition.orders
    if composition.by and not expander.is_stock:
        orders = composition.cases.get(as_text(expander.given(composition.by)), orders)
    return expander.stream(name).choice(orders)


def _target(composition: Composition, expander: Expander) -> int | None:
    wanted = expander.given(composition.target) if composition.target and not expander.is_stock else None
    return int(wanted) if isinstance(wanted, int | float) else None


def _write(part: Part, expander: Expander) -> str:
    try:
        text = expander.rule(part.rule)
    except MissingValue:
        return ""
    return text[:1].upper() + text[1:]


def _add_optional(order: Order, texts: dict[int, str], target: int | None, expander: Expander, name: str) -> None:
    places = [at for at, part in enumerate(order) if part.optional]
    expander.stream(name).shuffle(places)
    if target is None:
        texts.update({at: _write(order[at], expander) for at in places[: len(places) // 2]})
        return
    room = target - sum(_n_words(text) for text in texts.values())
    for at in places * ROUNDS:
        if room <= SLACK_WORDS:
            return
        text = _write(order[at], expander)
        if _n_words(text) <= room + SLACK_WORDS:
            texts[at] = f"{texts[at]} {text}" if texts.get(at) else text
            room -= _n_words(text)


def _in_order(order: Order, texts: dict[int, str], expander: Expander) -> Sentences:
    parts: Sentences = []
    label = ""
    for at, part in enumerate(order):
        if part.label:
            label = _label(part, expander)
        elif text := texts.get(at):
            parts.append(f"{label} {text}" if label else text)
            label = ""
    return parts


def _label(part: Part, expander: Expander) -> str:
    name, _, piece = part.rule.partition(".")
    return as_text(expander.value(Hole(name, piece, ())))


def _n_words(text: str) -> int:
    return text.count(" ") + 1 if text else 0
