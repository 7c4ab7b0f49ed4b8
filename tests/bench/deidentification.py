"""How many texts per second are de-identified, and how long the worst text of 1 MB takes.

`./run python -m tests.bench.deidentification` measures the demo's texts, and units that are repeated until 1 MB is
full. Each unit makes one pattern look as far as it can. A text of very many numbers is withheld, so each unit is also
measured with so much plain text between that it is not.
"""

import argparse
import json
import time
from datetime import UTC, datetime

from app.demo.population import population_lines
from db.deidentification.text import deidentify

SIZE = 1_000_000
UNITS = (
    *("@", "a.", "1-", "+", "a@", "@a.", "a.b@", "0 ", "12 ", "://", "www.", "(at)", "@[1:", "x.y/", "+4917012345"),
    *("512 345 678,", "1.2.3.4.", "12345 Ab ", "st. 1, 12345 Ab ", "LV-1234 ", "born 1.2.1990 ", "plate A 12 "),
    *(", Ab 12345 ", "A 1, Ab 123 45 ", "AB 123 plate ", "12.34567, ", "A12 BCDE ", "u/abc ", "a#1234 ", "ISBN 1-2"),
    *("2001:db8::", "12 rue ", "1A ", "DE89 3", "\u200b", "1\u200b", "-1/2", "A", "a ", "\u00e9", "1" * 40 + " "),
)
FILLER = " plain words follow here and say nothing at all, on and on, for a while, so that numbers are rare."


def seconds_for(text: str) -> float:
    """Return the CPU seconds that one text takes."""
    started = time.thread_time()
    deidentify(text, (), "de")
    return time.thread_time() - started


def filled(unit: str, between: str) -> str:
    """Repeat a unit, with text between, until 1 MB is full."""
    each = unit + between
    return (each * (SIZE // len(each.encode()) + 1))[: SIZE // max(1, len(each.encode()) // len(each))]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    options = parser.parse_args()
    records = map(json.loads, population_lines(options.items, datetime.now(UTC)))
    texts = [(record["text"], record.get("language")) for record in records if record.get("text")]
    best = 0.0
    for _ in range(5):
        started = time.thread_time()
        for text, language in texts:
            deidentify(text, (), language)
        best = max(best, len(texts) / (time.thread_time() - started))
    print(f"{len(texts):,} texts, {best:,.0f} per second")
    slowest = sorted((seconds_for(filled(unit, between)), unit, between) for unit in UNITS for between in ("", FILLER))
    for seconds, unit, between in slowest[-5:]:
        print(f"{seconds:6.2f} s  1 MB of {unit!r}{', with plain text between' if between else ''}")


if __name__ == "__main__":
    main()
