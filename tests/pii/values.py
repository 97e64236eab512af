"""Made-up personal data, each with the check digit that it would really have, and what looks like it and is none.

The checksums are computed here or by python-stdnum's `calc_…`, never by the validators that they are to test.
"""

import hashlib
import string
import uuid
from collections.abc import Callable
from random import Random
from typing import Final

from pii.national_numbers import (
    aadhaar_in,
    ahv_ch,
    bsn_nl,
    cc_pt,
    cpf_br,
    cpr_dk,
    dni,
    fiscale,
    fnr_no,
    hetu_fi,
    idnr,
    itin,
    medicare_au,
    nhs_gb,
    nie,
    nif_pt,
    nino,
    nip_pl,
    nir,
    nn_be,
    nss,
    pan_in,
    partita,
    pesel_pl,
    pnr_se,
    pps_ie,
    rvnr,
    sin_ca,
    spi,
    ssn,
    svnr_at,
    tfn_au,
    utr_gb,
)
from pii.shapes import birthday, filled, poured, random_digits, random_letters
from stdnum import luhn

Make = Callable[[Random], str]


# People and places that only fill the templates: names are no personal data that patterns could find.

_FIRST: Final = {
    "en": ["Alice", "Oliver", "Priya", "Graham", "Nneka", "Tom", "Harriet", "Declan", "Mei", "Rachel"],
    "fr": ["Camille", "Julien", "Fatou", "Mathieu", "Élodie", "Bernard", "Noémie", "Yanis", "Odile", "Luc"],
    "de": ["Jürgen", "Sabine", "Lukas", "Aylin", "Matthias", "Greta", "Heike", "Tobias", "Wiebke", "Emre"],
    "es": ["Lucía", "Álvaro", "Marisol", "Íñigo", "Carmen", "Pablo", "Begoña", "Hugo", "Rocío", "Javier"],
    "it": ["Giulia", "Matteo", "Chiara", "Lorenzo", "Ornella", "Davide", "Ilaria", "Pietro", "Elena", "Fabio"],
}
_LAST: Final = {
    "en": ["Whitfield", "Okafor", "Hughes", "Patel", "Lindqvist", "Byrne", "Castellano", "Marsh", "Doyle", "Nakamura"],
    "fr": ["Lefèvre", "Garnier", "Diallo", "Chevalier", "Roussel", "Benali", "Mercier", "Faure", "Picard", "Perrin"],
    "de": ["Brandt", "Yilmaz", "Schäfer", "Vogel", "Krüger", "Lorenz", "Petersen", "Weiß", "Hoffmann", "Seidel"],
    "es": ["Ortega", "Benítez", "Múgica", "Serrano", "Núñez", "Cabrera", "Pujol", "Ibáñez", "Rey", "Lozano"],
    "it": ["Ferrari", "Esposito", "Marchetti", "Rinaldi", "Gallo", "Bianchi", "Conti", "Sartori", "Greco", "Villa"],
}
_DOMAINS: Final = (
    "gmail.com", "outlook.com", "web.de", "orange.fr", "libero.it", "yahoo.es", "proton.me", "example.org",
    "nordwerk.de", "acme-industrie.fr", "mail.studio-rossi.it", "hospital.nhs.uk", "uni-graz.at", "kpn.nl",
    "my-startup.io", "telefonica.net", "students.ethz.ch",
)  # fmt: skip


def _plain(text: str) -> str:
    table = str.maketrans("áàâäãåçéèêëíìîïñóòôöõúùûüýßłøÁÉÍÓÚÑ", "aaaaaaceeeeiiiinooooouuuuyslöAEIOUN")
    return text.translate(table).lower().replace("ö", "o")


def email(chance: Random) -> str:
    """An address as people have them."""
    language = chance.choice(list(_FIRST))
    first, last = _plain(chance.choice(_FIRST[language])), _plain(chance.choice(_LAST[language]))
    local = chance.choice(
        [
            f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{chance.randint(1, 99)}", f"{first}-{last}", first,
            f"{last}.{first}+shop", f"{first}{chance.randint(1960, 2004)}", f"{first}.{last}".title(),
        ]
    )  # fmt: skip
    return f"{local}@{chance.choice(_DOMAINS)}"


_BBAN: Final = {
    "AT": "################", "BE": "############", "CH": "#################", "DE": "##################",
    "ES": "####################", "FI": "##############", "FR": "#####################99", "GB": "@@@@##############",
    "IE": "@@@@##############", "IT": "@######################", "NL": "@@@@##########", "PL": "########################",
    "PT": "#####################", "SE": "####################", "DK": "##############", "NO": "###########",
}  # fmt: skip


def iban(chance: Random, *countries: str) -> str:
    """An account: in groups of four, together, or in small letters."""
    country = chance.choice(countries or tuple(_BBAN))
    bban = filled(chance, _BBAN[country])
    moved = "".join(str(int(char, 36)) for char in f"{bban}{country}00")
    whole = f"{country}{98 - int(moved) % 97:02}{bban}"
    groups = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    return chance.choice([groups, groups, whole, whole, groups.lower(), groups.replace(" ", "\u00a0")])


def card(chance: Random) -> str:
    """A payment card's number."""
    if chance.random() < 0.2:
        digits = chance.choice(["34", "37"]) + random_digits(chance, 12)
        return poured(chance, digits + luhn.calc_check_digit(digits), "", "#### ###### #####", "####-######-#####")
    digits = chance.choice(["4", "51", "52", "53", "54", "55", "2221", "6011"])
    digits += random_digits(chance, 15 - len(digits))
    return poured(
        chance, digits + luhn.calc_check_digit(digits), "", "", "#### #### #### ####", "#### #### #### ####",
        "####-####-####-####",
    )  # fmt: skip


def ipv4(chance: Random) -> str:
    """An address of a machine."""
    first = chance.choice([10, 84, 91, 172, 185, 192, 203, 78, 62, 151])
    return ".".join(map(str, (first, chance.randint(0, 255), chance.randint(0, 255), chance.randint(1, 254))))


def ipv6(chance: Random) -> str:
    """An address, whole or shortened."""
    groups = [f"{chance.randrange(1, 65536):x}" for _ in range(8)]
    groups[0] = chance.choice(["2001", "2a02", "2a01", "fe80", "2606"])
    if chance.random() < 0.6:
        return f"{':'.join(groups[: chance.randint(2, 4)])}::{':'.join(groups[chance.randint(5, 7) :])}"
    return ":".join(group.zfill(4) for group in groups) if chance.random() < 0.5 else ":".join(groups)


def mac(chance: Random) -> str:
    """A hardware address."""
    pairs = [f"{chance.randrange(256):02x}" for _ in range(6)]
    text = chance.choice([":".join(pairs), "-".join(pairs), ":".join(pairs)])
    return chance.choice([text, text.upper()])


# Telephone numbers, as they are written in each country.


def _phones(code: str, zero: str, *shapes: str) -> Make:
    """Numbers of a country: its code, its trunk prefix, and shapes of what follows."""

    def make(chance: Random) -> str:
        rest = filled(chance, *shapes)
        together = rest.replace(" ", "")
        ways = {
            f"+{code} {rest}": 35,
            f"+{code}{together}": 10,
            f"00{code} {rest}": 5,
            f"+{code} ({zero}) {rest}": 5 if zero else 0,
            f"{zero}{together}": 10,
            f"{zero}{rest.replace(' ', '-')}": 7,
            f"{zero}{rest}": 28,
        }
        return chance.choices(list(ways), list(ways.values()))[0]

    return make


PHONES: Final[dict[str, Make]] = {
    "gb": _phones("44", "0", "20 79## ####", "7700 9#####", "7911 1#####", "161 496 0###", "121 496 0###"),
    "fr": _phones("33", "0", "6 %# ## ## ##", "7 5# ## ## ##", "1 42 ## ## ##", "4 91 ## ## ##", "5 56 ## ## ##"),
    "de": _phones("49", "0", "151 2#######", "176 4#######", "30 8######", "89 2#####", "40 36#####", "221 9######"),
    "es": _phones("34", "", "6%# ### ###", "6## ## ## ##", "91 4## ## ##", "93 2## ## ##", "955 ### ###"),
    "it": _phones("39", "", "347 ### ####", "333 #######", "06 4### ####", "02 7### ####", "328 ## ## ###"),
    "nl": _phones("31", "0", "6 1#######", "20 6## ####", "6 2# ## ## ##"),
    "be": _phones("32", "0", "47# ## ## ##", "2 5## ## ##"),
    "at": _phones("43", "0", "664 1######", "1 5######"),
    "ch": _phones("41", "0", "79 %## ## ##", "44 2## ## ##"),
    "pl": _phones("48", "", "60# ### ###", "22 6## ## ##"),
    "pt": _phones("351", "", "91# ### ###", "21 3## ## ##"),
    "se": _phones("46", "0", "70 %## ## ##", "8 5## ### ##"),
    "dk": _phones("45", "", "2# ## ## ##", "33 ## ## ##"),
    "no": _phones("47", "", "9## ## ###", "22 ## ## ##"),
    "fi": _phones("358", "0", "40 ### ####", "9 4### ####"),
    "ie": _phones("353", "0", "87 ### ####", "1 6## ####"),
}


def phone_us(chance: Random) -> str:
    """A number of North America."""
    area = chance.choice(["212", "415", "617", "312", "206", "604", "416", "305"])
    middle, last = filled(chance, "%##").replace("1", "2"), random_digits(chance, 4)
    return chance.choice(
        [
            f"({area}) {middle}-{last}", f"{area}-{middle}-{last}", f"{area}.{middle}.{last}", f"+1 {area} {middle} {last}",
            f"+1-{area}-{middle}-{last}", f"1-{area}-{middle}-{last}", f"+1{area}{middle}{last}", f"{area} {middle} {last}",
            f"({area}) {middle}-{last} ext. {random_digits(chance, 3)}",
        ]
    )  # fmt: skip


# Documents, dates, places.


def birthdate(language: str) -> Make:
    """A date of birth, as it is written in the language."""
    months = {
        "en": [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        "fr": [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        "de": [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        "es": [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
        "it": [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
    }

    def make(chance: Random) -> str:
        year, month, day = birthday(chance)
        name = months[language][month - 1]
        forms = {
            "en": [f"{day:02}/{month:02}/{year}", f"{day} {name} {year}", f"{name} {day}, {year}", f"{year}-{month:02}-{day:02}"],
            "fr": [f"{day:02}/{month:02}/{year}", f"{day} {name} {year}", f"{day:02}-{month:02}-{year}"],
            "de": [f"{day:02}.{month:02}.{year}", f"{day}. {name} {year}", f"{day}.{month}.{year}", f"{day:02}.{month:02}.{year % 100:02}"],
            "es": [f"{day:02}/{month:02}/{year}", f"{day} de {name} de {year}", f"{day}-{month}-{year}"],
            "it": [f"{day:02}/{month:02}/{year}", f"{day} {name} {year}", f"{day:02}.{month:02}.{year}"],
        }  # fmt: skip
        return chance.choice(forms[language])

    return make


def _shapes(*shapes: str) -> Make:
    return lambda chance: filled(chance, *shapes)


def coordinates(chance: Random) -> str:
    """A place to a few metres."""
    north, east = chance.uniform(36, 60), chance.uniform(-9, 24)
    digits = chance.choice([4, 5, 6])
    between = chance.choice([", ", ",", " "])
    return f"{north:.{digits}f}{between}{east:.{digits}f}"


def bitcoin(chance: Random) -> str:
    """One of a few addresses with a right checksum, made of hashes of nothing."""
    return chance.choice(_BITCOIN)


def _base58(payload: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


_BITCOIN: Final = tuple(
    _base58(bytes([version]) + Random(seed).randbytes(20))  # noqa: S311 - no secret
    for version in (0, 5)
    for seed in range(8)
)


def ethereum(chance: Random) -> str:
    """An address of forty hexadecimal digits."""
    return "0x" + random_letters(chance, 40, "0123456789abcdefABCDEF")


def url_login(chance: Random) -> str:
    """What stands behind `scheme://` when a password is in it."""
    word = random_letters(chance, 9, string.ascii_letters + string.digits) + chance.choice("7842")
    return f"{chance.choice(['admin', 'backup', 'svc_app', 'jane'])}:{word}@{chance.choice(['db.internal:5432/main', 'ftp.example.net/in', 'cache-01:6379/0'])}"


SENSITIVE: Final[dict[str, Make]] = {
    "email": email, "card": card, "ipv4": ipv4, "ipv6": ipv6, "mac": mac, "iban": iban,
    "iban_fr": lambda chance: iban(chance, "FR"), "iban_de": lambda chance: iban(chance, "DE", "DE", "AT"),
    "iban_es": lambda chance: iban(chance, "ES"), "iban_it": lambda chance: iban(chance, "IT"),
    "iban_gb": lambda chance: iban(chance, "GB", "IE"), "phone_us": phone_us,
    **{f"phone_{country}": make for country, make in PHONES.items()},
    "nir": nir, "spi": spi, "idnr": idnr, "rvnr": rvnr, "dni": dni, "nie": nie, "nss": nss, "fiscale": fiscale,
    "partita": partita, "nif_pt": nif_pt, "cc_pt": cc_pt, "bsn": bsn_nl, "nn_be": nn_be, "pesel": pesel_pl, "nip": nip_pl,
    "pnr": pnr_se, "hetu": hetu_fi, "cpr": cpr_dk, "fnr": fnr_no, "svnr": svnr_at, "ahv": ahv_ch, "pps": pps_ie,
    "nino": nino, "nhs": nhs_gb, "utr": utr_gb, "ssn": ssn, "itin": itin, "sin": sin_ca, "tfn": tfn_au,
    "medicare": medicare_au, "aadhaar": aadhaar_in, "pan": pan_in, "cpf": cpf_br,
    "passport_gb": _shapes("#########"), "passport_fr": _shapes("##@@#####"), "passport_de": _shapes("C%@#%@#%#", "C0%X%#T%1"),
    "passport_es": _shapes("@@@######"), "passport_it": _shapes("@@#######"), "passport_us": _shapes("#########", "@########"),
    "idcard_fr": _shapes("############"), "idcard_it": _shapes("@@#######", "CA#####@@"), "idcard_de": _shapes("L%#X%#T%#"),
    "licence_us": _shapes("@#######", "@###-####-####"), "licence_gb": _shapes("@@@@@%0612#@99@@", "@@@@@%5123#@@9@@"),
    "licence_fr": _shapes("############"), "licence_de": _shapes("@###@@#@##%"), "licence_it": _shapes("@@#######@"),
    "dob_en": birthdate("en"), "dob_fr": birthdate("fr"), "dob_de": birthdate("de"), "dob_es": birthdate("es"), "dob_it": birthdate("it"),
    "zip": _shapes("#####", "#####-####"), "postcode": _shapes("SW1A #AA", "M# #@@", "EH1# %NG", "LS# %QD"),
    "cp_fr": _shapes("75%##", "69%%#", "33%##"), "plz": _shapes("1#%##", "80%##", "5%###"), "cp_es": _shapes("28%##", "08%##"),
    "cap": _shapes("00%##", "20%##", "10%##"), "postcode_nl": _shapes("%### @@"),
    "coordinates": coordinates, "bitcoin": bitcoin, "ethereum": ethereum, "url_login": url_login,
}  # fmt: skip
"""What must go, by kind."""


def _filler(language: str, names: dict[str, list[str]]) -> Make:
    return lambda chance: chance.choice(names[language])


def isbn(chance: Random) -> str:
    """A book's number, with its check digit."""
    body = "978" + random_digits(chance, 9)
    check = -sum(int(one) * (3 if at % 2 else 1) for at, one in enumerate(body)) % 10
    return poured(chance, f"{body}{check}", "", "###-#-###-#####-#", "### # #### #### #")


def day(chance: Random) -> str:
    """A date that nobody was born on."""
    year, month, number = chance.randint(2015, 2026), chance.randint(1, 12), chance.randint(1, 28)
    return chance.choice(
        [
            f"{year}-{month:02}-{number:02}",
            f"{number:02}/{month:02}/{year}",
            f"{number:02}.{month:02}.{year}",
            f"{month}/{number}/{year}",
        ]
    )


def instant(chance: Random) -> str:
    """A time of a log."""
    time = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}"
    date = f"{chance.randint(2020, 2026)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    return chance.choice(
        [
            f"{date}T{time}Z",
            f"{date} {time},{random_digits(chance, 3)}",
            f"{date}T{time}.{random_digits(chance, 6)}+00:00",
        ]
    )


HARMLESS: Final[dict[str, Make]] = {
    **{f"first_{language}": _filler(language, _FIRST) for language in _FIRST},
    **{f"last_{language}": _filler(language, _LAST) for language in _LAST},
    "uuid": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "version": _shapes("%.##.#", "v%.#.##", "%.#.#-rc%", "%#.#.###.#", "20##.%.#", "%.%.#+build.####"),
    "order": _shapes("########", "ORD-####-######", "4###-#######-#######", "SO######", "20##/#####", "#### #### ####"),
    "tracking": _shapes("1Z###@@#########", "JD01##########", "RR#########GB", "#### #### #### ####", "00340###############"),
    "md5": lambda chance: random_letters(chance, 32, "0123456789abcdef"),
    "sha1": lambda chance: random_letters(chance, 40, "0123456789abcdef"),
    "sha256": lambda chance: random_letters(chance, 64, "0123456789abcdef"),
    "short_hash": lambda chance: random_letters(chance, 7, "0123456789abcdef"),
    "isbn": isbn, "day": day, "instant": instant, "price": _shapes("%,###.##", "%#.99", "%.###,##", "%## ###,##", "%##.##"),
    "int": _shapes("%#", "%##", "%###"), "long": _shapes("%######", "%########", "%#############"), "epoch": _shapes("17########", "17###########"),
    "decimal": _shapes("0.####", "%#.####", "0.########"), "sku": _shapes("@@-####-##", "@@@####", "##-####-@", "@##-###-####"),
    "percent": _shapes("%#.#", "%#"), "ean": _shapes("4#############"[:13]), "hex": lambda chance: "0x" + random_letters(chance, 8, "0123456789abcdef"),
}  # fmt: skip
"""What stays, by kind."""
