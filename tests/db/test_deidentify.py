"""De-identification: what is found, what stays, and that neither the order nor the size of a text changes that.

Every number is made up here: drawn at random, kept when its check digits fit, written down nowhere.
"""

import random
import re
import time
from functools import cache
from itertools import product
from string import ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, numdb

import db.deidentify as pipeline
from db import identifiers
from db.deidentify import PIPELINE_VERSION, STAGES, Detector, Stage, deidentify
from db.identifiers import CARD, LETTERED, NATIONAL_ID, NUMBERS, PHONE, PHONES, Lettered, Number

EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK".split()
WRITTEN = [(number, grouping) for number in (*NUMBERS, *PHONES) for grouping in number.groupings.split()]


def rivals(number: Number, grouping: str) -> list[Number]:
    """Return the kinds that come before a number written so, or would be taken for it."""
    others = NUMBERS if number in NUMBERS else (*NUMBERS, *PHONES[: PHONES.index(number)])
    return [other for other in others if other is not number and grouping in other.groupings.split()]


@cache
def made_up(number: Number, grouping: str) -> str:
    """Draw digits that are valid for this number and for no rival, and write them in groups."""
    lengths = [int(length) for length in grouping.split("-")]
    draw = random.Random(f"{number.name} {grouping}")
    while True:
        drawn = "".join(draw.choices(digits, k=sum(lengths)))
        if drawn.endswith("000") or not re.fullmatch(number.pattern, drawn) or not number.is_valid(drawn):
            continue
        if not any(re.fullmatch(rival.pattern, drawn) and rival.is_valid(drawn) for rival in rivals(number, grouping)):
            break
    ends = [sum(lengths[: index + 1]) for index in range(len(lengths))]
    return " ".join(drawn[end - length : end] for end, length in zip(ends, lengths, strict=True))


def completed(kind: Lettered, template: str) -> str:
    """Fill each ? with the first character that makes the number valid."""
    alphabet = digits + ascii_uppercase
    for filling in product(alphabet, repeat=template.count("?")):
        filled = template.replace("?", "{}").format(*filling)
        if re.fullmatch(kind.pattern, filled) and kind.is_valid(filled):
            return filled
    raise AssertionError(f"no {kind.name} begins like {template}")


LETTERED_TEMPLATES = {
    "cy.tic": ["0001234?"],
    "es.nif": ["0001234?", "00.012.34?-?", "00 012 34? ?", "X000123??", "Y-000123?-?", "K000123??"],
    "fi.hetu": ["010190-90??", "010100A90??", "010190+90??"],
    "fr.nir": ["100012A00000???", "1 00 01 2B 000 00? ??"],
    "ie.pps": ["000123??", "000123?-?", "000123??A"],
    "it.codicefiscale": ["QQQQQQ00A01Q00??", "QQQ QQQ 00A01 Q00? ?", "QQQQQQLLALMQLL??"],
    "mt.id": ["0001234M"],
    "pt.cc": ["0001234? 0 ZZ?", "0001234?0ZZ?"],
}
LETTERED_TEMPLATES["cy.tic"] = ["0001234??"]
LETTERED_TEMPLATES["es.nif"][0] = "0001234??"
KINDS = {kind.name: kind for kind in LETTERED}
LETTERED_CASES = [(name, completed(KINDS[name], template)) for name, ts in LETTERED_TEMPLATES.items() for template in ts]


def made_up_iban(country: str) -> str:
    structure = numdb.get("iban").info(country)[0][1]["bban"]
    parts = re.findall("([0-9]+)!([nac])", structure)
    account = "".join({"n": "1", "a": "Q", "c": "7"}[kind] * int(length) for length, kind in parts)
    return f"{country}{iban.calc_check_digits(f'{country}00{account}')}{account}"
