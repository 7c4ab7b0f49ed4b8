"""The national numbers of the second collection of labelled texts: each state's own form and check, as published."""

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from stdnum.at import vnr
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.gr import vat as afm
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.pl import nip, pesel
from stdnum.pt import cc, nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.si import emso

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _has_nass_check(number: str) -> bool:
    """Check a Spanish number of social security: the remainder of province and serial by 97."""
    digits = "".join(sign for sign in number if sign.isdigit())
    province, serial, check = digits[:2], digits[2:10], digits[10:]
    whole = int(province) * 10_000_000 + int(serial) if int(serial) < 10_000_000 else int(province + serial)
    return 1 <= int(province) <= 53 and whole % 97 == int(check)


def _has_taj_check(number: str) -> bool:
    """Check a Hungarian number of social security: factors 3 and 7, modulo 10."""
    digits = [int(sign) for sign in number if sign.isdigit()]
    return sum(digit * (3, 7)[place % 2] for place, digit in enumerate(digits[:8])) % 10 == digits[8]


def _has_pension_check(number: str) -> bool:
    """Check a German pension number: the digit sums of the products with the published factors, modulo 10."""
    bare = number.replace(" ", "")
    digits = f"{bare[:8]}{_LETTERS.index(bare[8]) + 1:02}{bare[9:]}"
    products = (
        int(digit) * factor for digit, factor in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=False)
    )
    return sum(sum(divmod(product, 10)) for product in products) % 10 == int(digits[12])


def _any(_: str) -> bool:
    return True


# the word before a number (none where the form and the check suffice), its forms, and its check
FORMS: Final[dict[str, list[tuple[str, list[str], Callable[[str], bool]]]]] = {
    "bg": [("\u0415\u0413\u041d", ["yymmdd####"], egn.is_valid)],
    "hr": [("OIB:", ["###########"], oib.is_valid)],
    "cs": [("", ["yymmdd/####"], rc.is_valid), ("r. \u010d.", ["yymmdd####"], rc.is_valid)],
    "da": [("", ["ddmmyy-####"], cpr.is_valid), ("CPR-nr.", ["ddmmyy####", "ddmmyy ####"], cpr.is_valid)],
    "nl": [("BSN", ["#########", "#### ## ###", "####.##.###"], bsn.is_valid), ("", ["yy.mm.dd-###.##"], nn.is_valid)],
    "en": [("PPS number", ["#######@", "#######@A"], pps.is_valid)],
    "et": [("", ["3yymmdd####"], ik.is_valid), ("isikukood", ["4yymmdd####"], ik.is_valid)],
    "fi": [("", ["ddmmyy-###@", "ddmmyy-###@"], hetu.is_valid)],
    "fr": [
        ("", ["1 yy mm 75 ### ### ##", "2yymm13########", "1/yy/mm/69/###/###/##",
              "2.yy.mm.33.###.###.##"], nir.is_valid),
        ("", ["yy.mm.dd-###.##", "yymmdd-###-##"], nn.is_valid),
    ],
    "de": [
        ("Steuer-ID", ["## ### ### ###", "###########"], idnr.is_valid), ("SV-Nr.", ["#### ddmmyy"], vnr.is_valid),
        ("Rentenversicherungsnummer", ["## ddmmyy @ ###", "##ddmmyy@###"], _has_pension_check),
    ],
    "el": [("\u0391\u039c\u039a\u0391", ["ddmmyy#####"], amka.is_valid),
           ("\u0391\u03a6\u039c", ["#########"], afm.is_valid)],
    "hu": [("TAJ sz\u00e1m:", ["### ### ###", "#########", "###-###-###"], _has_taj_check)],
    "ga": [("UPSP", ["#######@", "#######@H"], pps.is_valid)],
    "it": [("", ["@@@@@@yyA##@###@"], codicefiscale.is_valid),
           ("C.F.", ["@@@@@@ yyE## @###@"], codicefiscale.is_valid)],
    "lv": [("", ["ddmmyy-1####"], pvn.is_valid), ("personas kods", ["ddmmyy-2####"], pvn.is_valid)],
    "lt": [("", ["3yymmdd####"], asmens.is_valid), ("a. k.", ["4yymmdd####"], asmens.is_valid)],
    "mt": [("ID card number", ["#######M", "0######G"], _any)],
    "pl": [("", ["yymmdd#####"], pesel.is_valid), ("NIP", ["###-###-##-##", "##########"], nip.is_valid)],
    "pt": [("NIF", ["2########", "2## ### ###"], nif.is_valid), ("", ["######## # @@#"], cc.is_valid)],
    "ro": [("", ["1yymmdd######"], cnp.is_valid), ("CNP", ["2yymmdd######"], cnp.is_valid)],
    "sk": [("", ["yymmdd/####"], rc.is_valid), ("rodn\u00e9 \u010d\u00edslo", ["yymmdd####"], rc.is_valid)],
    "sl": [("", ["ddmm9########"], emso.is_valid), ("EM\u0160O", ["ddmm0########"], emso.is_valid)],
    "es": [
        ("", ["########@", "########-@", "##.###.###-@"], dni.is_valid),
        ("NIE", ["X#######@", "Y-#######-@"], nie.is_valid),
        ("NASS", ["##/########/##", "## ######## ##", "##-########-##"], _has_nass_check),
    ],
    "sv": [("", ["yymmdd-####", "19yymmdd-####"], personnummer.is_valid),
           ("personnr", ["19yymmdd####"], personnummer.is_valid)],
}  # fmt: skip


def national_numbers(language: str, random: Random) -> Iterator[tuple[str, str]]:
    """Yield six numbers of the language's countries, each with the word before it or an empty string."""
    for turn in range(6):
        cue, forms, is_valid = FORMS[language][turn % len(FORMS[language])]
        yield cue, _number(random.choice(forms), is_valid, random)


def _number(form: str, is_valid: Callable[[str], bool], random: Random) -> str:
    while True:
        values = {"yy": random.randrange(45, 99), "mm": random.randrange(1, 13), "dd": random.randrange(1, 29)}
        filled = form
        for name, value in values.items():
            filled = filled.replace(name, f"{value:02}")
        filled = "".join(
            str(random.randrange(10)) if sign == "#" else random.choice(_LETTERS) if sign == "@" else sign
            for sign in filled
        )
        if is_valid(re.sub("[ ./]", "", filled)):
            return filled
