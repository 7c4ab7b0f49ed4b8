"""The countries from which a person chooses for a phone number, each by its own name, with its calling code."""

from typing import Final

from phonenumbers import country_code_for_region

_OWN_NAMES: Final = {
    **{"AT": "Österreich", "BE": "België / Belgique", "BG": "България", "CH": "Schweiz / Suisse / Svizzera"},
    **{"CY": "Κύπρος", "CZ": "Česko", "DE": "Deutschland", "DK": "Danmark", "EE": "Eesti", "ES": "España"},
    **{"FI": "Suomi", "FR": "France", "GB": "United Kingdom", "GR": "Ελλάδα", "HR": "Hrvatska", "HU": "Magyarország"},
    **{"IE": "Ireland", "IS": "Ísland", "IT": "Italia", "LI": "Liechtenstein", "LT": "Lietuva", "LU": "Luxembourg"},
    **{"LV": "Latvija", "MT": "Malta", "NL": "Nederland", "NO": "Norge", "PL": "Polska", "PT": "Portugal"},
    **{"RO": "România", "SE": "Sverige", "SI": "Slovenija", "SK": "Slovensko"},
}

COUNTRY_NAMES: Final = {code: f"{name} (+{country_code_for_region(code)})" for code, name in _OWN_NAMES.items()}
