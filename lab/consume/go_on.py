"""The recipe for going on where the wire format cannot resume: Chat Completions, Anthropic Messages.

A cut there is final: the model server does not keep what it did not deliver. There are two ways out.

1. Ask again and throw the partial text away. Clean, and billed twice: `Partial.retry` says what it means.
2. Keep the text and ask the model to go on from it, as a new turn of the conversation:

    match answer:
        case Partial(text=text, reason=reason) if reason is not PartialReason.CONTENT_FILTER:
            rest = read(lambda: client.chat.completions.create(messages=continued(question, text), ...))
            if isinstance(rest, Complete):
                whole = joined(text, rest.text)

The second also serves at a token limit, where asking again would end the same way.

Warnings: it is a new generation, and no resumption.

- It costs a generation of its own, and the whole conversation and the partial text once more as input.
- The model may repeat the end of the text, leave a gap, or comment on going on. `joined` removes a repetition that
  is literal and long; nothing can prove the seam right. For JSON and code ask again instead.
- A call of a tool that was cut is not text. Do not carry it out, and do not continue it: ask again.
- Ending the conversation with the assistant's turn (prefilling) gave a seam without a new turn. Claude 4.6 and later
  refuse it with a 400 ("The conversation must end with a user message"), so the recipe does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

INSTRUCTION = (
    "Your previous reply was interrupted. Go on exactly where it ends, in the middle of a word if need be. "
    "Repeat nothing and add no remark."
)
"""What the model is told; in English, which models follow whatever language the answer is in."""

# No model repeats more than its last paragraphs.
_WINDOW = 4_000


def continued(messages: Iterable[Mapping[str, Any]], text: str, *, instruction: str = INSTRUCTION) -> list[Any]:
    """The conversation with which to ask for the rest of a partial answer, for either SDK's `messages`.

    Args:
        messages: the conversation that led to the answer: `messages`, or `input` of OpenAI Responses as a list.
        text: what came of the answer. Where it is empty, the conversation stays as it is: that is asking again.
        instruction: what to tell the model.
    """
    before = list(messages)
    if not text.strip():
        return before
    return [*before, {"role": "assistant", "content": text}, {"role": "user", "content": instruction}]


def joined(text: str, rest: str, *, least: int = 20) -> str:
    """Both parts as one, without what the rest repeats of the text's end.

    Args:
        text: the partial answer.
        rest: what the model went on with.
        least: repetitions of fewer characters are left, since they may well be meant.

    >>> joined("It was a bright cold day in April", "a bright cold day in April, and the clocks")
    'It was a bright cold day in April, and the clocks'
    """
    for size in range(min(len(text), len(rest), _WINDOW), max(least, 1) - 1, -1):
        if text.endswith(rest[:size]):
            return text + rest[size:]
    return text + rest
