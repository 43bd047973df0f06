"""Wears wordings down, so that what is learned hangs on the subject and not on a sentence known by heart."""

import re

HOW_OFTEN = 0.4


def worn(rng, wording, language):
    """A wording without one or two of its words (signs in Chinese), now and then; what stands in braces is never touched."""
    if rng.random() >= HOW_OFTEN:
        return wording
    parts = re.split(r"(\{\w*\})", wording)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(0, len(parts), 2)
        parts[at] = shorter(rng, parts[at], language)
    return "".join(parts)


def shorter(rng, text, language):
    pieces = list(text) if language == "zh" else re.findall(r"\s*\S+|\s+$", text)
    if len(pieces) > 1:
        del pieces[rng.randrange(len(pieces))]
    return "".join(pieces)
