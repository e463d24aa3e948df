"""The ledger's book: bounded, and fair to what still runs."""

from __future__ import annotations

from lab.model.ledger import Book, Record


def opened(book: Book, name: str, tokens: int = 0) -> Record:
    """A record with so many tokens."""
    record = book.open(name, "1.1", 1.0, 0.0)
    record.numbers.extend(range(1, tokens + 1))
    record.times.extend(float(number) for number in range(tokens))
    return record


def test_the_oldest_requests_go_first() -> None:
    """A book of two forgets the first of three; a new attempt makes a request young again."""
    book = Book(most_requests=2)
    opened(book, "one")
    opened(book, "two")
    opened(book, "one")
    opened(book, "three")
    assert book.read("two") == []
    assert [ledger.attempt for ledger in book.read("one")] == [1, 2]
    assert len(book.read("three")) == 1


def test_the_tokens_are_bounded_too() -> None:
    """Long answers count for what they weigh, once they are over; the last one is always kept."""
    book = Book(most_tokens=10)
    for name in ("one", "two"):
        book.close(opened(book, name, 6))
    assert book.read("one") == []
    assert len(book.read("two")[0].tokens) == 6
    book.close(opened(book, "three", 99))
    assert len(book.read("three")[0].tokens) == 99
    book.close(opened(book, "four", 1))
    assert book.read("three") == []


def test_a_confirmation_reaches_only_what_still_runs() -> None:
    """An attempt that is over has nothing to release; the request is known all the same."""
    book = Book()
    book.close(opened(book, "one"))
    assert book.confirm("one", 1)
    assert not book.confirm("two", 1)


def test_a_record_can_be_read_while_it_runs() -> None:
    """Unfinished, and with what was written so far."""
    book = Book()
    opened(book, "one", 2)
    (ledger,) = book.read("one")
    assert ledger.finished is None
    assert [token.number for token in ledger.tokens] == [1, 2]
