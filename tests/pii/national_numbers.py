"""National identity, tax and social security numbers, made up, each with the check digits that it would have.

They are computed here or by python-stdnum's `calc_…`, never by the validators that they are to test.
"""

import string
from random import Random

from pii.shapes import birthday, filled, poured, random_digits, random_letters
from stdnum import luhn
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.br import cpf
from stdnum.fi import hetu
from stdnum.gb import nhs, utr
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import nip, pesel
from stdnum.pt import cc, nif


def nir(chance: Random) -> str:
    """France: social security."""
    year, month, _ = birthday(chance)
    place = f"{chance.choice([1, 13, 31, 33, 44, 59, 69, 75, 78, 92]):02}{chance.randint(1, 480):03}"
    body = f"{chance.choice('12')}{year % 100:02}{month:02}{place}{chance.randint(1, 600):03}"
    return poured(chance, f"{body}{97 - int(body) % 97:02}", "", "# ## ## ## ### ### ##", "# ## ## ## ### ### ##")


def spi(chance: Random) -> str:
    """France: tax."""
    body = chance.choice("0123") + random_digits(chance, 9)
    return poured(chance, f"{body}{int(body) % 511:03}", "", "## ## ### ### ###")


def idnr(chance: Random) -> str:
    """Germany: tax. One digit stands twice in the first ten."""
    order = chance.sample(string.digits, 9)
    while order[0] == "0":
        chance.shuffle(order)
    order.insert(chance.randint(2, 9), order[0])
    product = 10
    for digit in order:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return poured(chance, "".join(order) + str((11 - product) % 10), "", "## ### ### ###", "## ### ### ###")


def rvnr(chance: Random) -> str:
    """Germany: pension insurance."""
    year, month, day = birthday(chance)
    letter = chance.choice(string.ascii_uppercase)
    area, serial = chance.choice(["12", "13", "15", "53", "65", "80"]), random_digits(chance, 2)
    digits = f"{area}{day:02}{month:02}{year % 100:02}{ord(letter) - 64:02}{serial}"
    products = [int(one) * weight for one, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    check = sum(one // 10 + one % 10 for one in products) % 10
    return poured(chance, f"{digits[:8]}{letter}{serial}{check}", "", "## ###### # ###")


def dni(chance: Random) -> str:
    """Spain: identity card."""
    digits = random_digits(chance, 8)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]
    return poured(chance, digits + letter, "", "", "########-#", "##.###.###-#", "######## #")


def nie(chance: Random) -> str:
    """Spain: foreigners."""
    first, digits = chance.choice("XYZ"), random_digits(chance, 7)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(f"{'XYZ'.index(first)}{digits}") % 23]
    return poured(chance, first + digits + letter, "", "#-#######-#", "########-#")


def nss(chance: Random) -> str:
    """Spain: social security."""
    body = chance.choice(["08", "28", "41", "46"]) + chance.choice("123456789") + random_digits(chance, 7)
    return poured(chance, f"{body}{int(body) % 97:02}", "", "## ######## ##", "##/########/##")


def fiscale(chance: Random) -> str:
    """Italy: everybody's number."""
    year, month, day = birthday(chance)
    consonants = "BCDFGLMNPRSTVZ"
    body = f"{random_letters(chance, 6, consonants)}{year % 100:02}{'ABCDEHLMPRST'[month - 1]}"
    body += f"{day + chance.choice([0, 40]):02}{chance.choice(['H501', 'F205', 'L219', 'D612', 'A662'])}"
    whole = body + codicefiscale.calc_check_digit(body)
    return chance.choice([whole, whole, whole, whole.lower()])


def partita(chance: Random) -> str:
    """Italy: businesses, and everybody who works on their own."""
    body = random_digits(chance, 7) + f"{chance.randint(1, 95):03}"
    return chance.choice(["", "", "IT"]) + body + luhn.calc_check_digit(body)


def nif_pt(chance: Random) -> str:
    """Portugal: tax."""
    body = chance.choice("12") + random_digits(chance, 7)
    return poured(chance, body + nif.calc_check_digit(body), "", "### ### ###")


def cc_pt(chance: Random) -> str:
    """Portugal: citizen card."""
    body = random_digits(chance, 8)
    total = sum((9 - at) * int(one) for at, one in enumerate(body))
    body += str((11 - total % 11) % 10 if total % 11 > 1 else 0) + random_letters(chance, 2)
    return poured(chance, body + cc.calc_check_digit(body), "", "######## # ###", "######## ####")


def bsn_nl(chance: Random) -> str:
    """The Netherlands: everybody's number."""
    while True:
        body = chance.choice("12") + random_digits(chance, 8)
        if bsn.checksum(body) == 0:
            return poured(chance, body, "", "####.##.###", "#### ## ###")


def nn_be(chance: Random) -> str:
    """Belgium: national register."""
    year, month, day = birthday(chance)
    body = f"{year % 100:02}{month:02}{day:02}{chance.randint(1, 997):03}"
    number = int(("2" if year >= 2000 else "") + body)
    return poured(chance, f"{body}{97 - number % 97:02}", "", "##.##.##-###.##", "##.##.##-###.##")


def pesel_pl(chance: Random) -> str:
    """Poland: everybody's number."""
    year, month, day = birthday(chance)
    body = f"{year % 100:02}{month + (20 if year >= 2000 else 0):02}{day:02}{random_digits(chance, 4)}"
    return body + pesel.calc_check_digit(body)


def nip_pl(chance: Random) -> str:
    """Poland: tax."""
    while True:
        body = filled(chance, "%%########")
        if nip.checksum(body) == 0:
            return poured(chance, body, "", "###-###-##-##")


def pnr_se(chance: Random) -> str:
    """Sweden: everybody's number."""
    year, month, day = birthday(chance)
    body = f"{year % 100:02}{month:02}{day:02}{random_digits(chance, 3)}"
    whole = f"{body[:6]}-{body[6:]}{luhn.calc_check_digit(body)}"
    return chance.choice([whole, f"{year // 100}{whole}", f"{year // 100}{whole.replace('-', '')}"])


def hetu_fi(chance: Random) -> str:
    """Finland: everybody's number."""
    year, month, day = birthday(chance)
    body = f"{day:02}{month:02}{year % 100:02}", f"{chance.randint(2, 899):03}"
    return f"{body[0]}{'A' if year >= 2000 else '-'}{body[1]}{hetu._calc_checksum(''.join(body))}"


def cpr_dk(chance: Random) -> str:
    """Denmark: everybody's number; those given out since 2007 have no check digit."""
    year, month, day = birthday(chance)
    body = (
        f"{day:02}{month:02}{year % 100:02}{chance.randint(1000, 3999) if year < 2000 else chance.randint(4000, 9999)}"
    )
    return poured(chance, body, "######-####", "######-####", "")


def fnr_no(chance: Random) -> str:
    """Norway: everybody's number."""
    while True:
        year, month, day = birthday(chance)
        serial = chance.randint(0, 499) if year < 2000 else chance.randint(500, 999)
        body = f"{day:02}{month:02}{year % 100:02}{serial:03}"
        first = fodselsnummer.calc_check_digit1(body)
        if first.isdigit() and len(first) == 1:
            second = fodselsnummer.calc_check_digit2(body + first)
            if second.isdigit() and len(second) == 1:
                return poured(chance, body + first + second, "", "###### #####")


def svnr_at(chance: Random) -> str:
    """Austria: social insurance."""
    while True:
        year, month, day = birthday(chance)
        serial, birth = filled(chance, "%##"), f"{day:02}{month:02}{year % 100:02}"
        check = vnr.calc_check_digit(f"{serial}0{birth}")
        if len(check) == 1 and check.isdigit():
            return poured(chance, f"{serial}{check}{birth}", "", "#### ######", "#### ######")


def ahv_ch(chance: Random) -> str:
    """Switzerland: old-age insurance; its check digit is that of EAN-13."""
    body = "756" + random_digits(chance, 9)
    total = sum(int(one) * (3 if at % 2 else 1) for at, one in enumerate(body))
    return poured(chance, f"{body}{-total % 10}", "###.####.####.##", "###.####.####.##", "")


def pps_ie(chance: Random) -> str:
    """Ireland: public services."""
    body, last = random_digits(chance, 7), chance.choice(["", "", "A"])
    total = sum((8 - at) * int(one) for at, one in enumerate(body)) + 9 * (last == "A")
    return f"{body}{'WABCDEFGHIJKLMNOPQRSTUV'[total % 23]}{last}"


def nino(chance: Random) -> str:
    """The United Kingdom: national insurance."""
    body = chance.choice(["AB", "JG", "CE", "NR", "PW", "SC", "YT"]) + random_digits(chance, 6) + chance.choice("ABCD")
    return poured(chance, body, "", "## ## ## ## #", "## ## ## ## #")


def nhs_gb(chance: Random) -> str:
    """The United Kingdom: patients."""
    while True:
        body = chance.choice("4679") + random_digits(chance, 9)
        if nhs.checksum(body) == 0:
            return poured(chance, body, "", "### ### ####", "### ### ####")


def utr_gb(chance: Random) -> str:
    """The United Kingdom: tax."""
    body = random_digits(chance, 9)
    return poured(chance, utr.calc_check_digit(body) + body, "", "##### #####")


def ssn(chance: Random) -> str:
    """The United States: social security."""
    area = chance.choice([chance.randint(1, 665), chance.randint(667, 899)])
    digits = f"{area:03}{chance.randint(1, 99):02}{chance.randint(1, 9999):04}"
    return poured(chance, digits, "###-##-####", "###-##-####", "### ## ####", "")


def itin(chance: Random) -> str:
    """The United States: taxpayers without social security."""
    return f"9{random_digits(chance, 2)}-{chance.choice([chance.randint(50, 65), chance.randint(70, 88)])}-{random_digits(chance, 4)}"


def sin_ca(chance: Random) -> str:
    """Canada: social insurance."""
    body = chance.choice("1234567") + random_digits(chance, 7)
    return poured(chance, body + luhn.calc_check_digit(body), "### ### ###", "###-###-###", "")


def tfn_au(chance: Random) -> str:
    """Australia: tax."""
    while True:
        body = chance.choice("12345678") + random_digits(chance, 8)
        if tfn.checksum(body) == 0:
            return poured(chance, body, "### ### ###", "")


def medicare_au(chance: Random) -> str:
    """Australia: health."""
    body = chance.choice("23456") + random_digits(chance, 7)
    check = sum(int(one) * weight for one, weight in zip(body, (1, 3, 7, 9, 1, 3, 7, 9), strict=True)) % 10
    return poured(chance, f"{body}{check}{chance.randint(1, 3)}", "", "#### ##### #")


def aadhaar_in(chance: Random) -> str:
    """India: everybody's number."""
    body = chance.choice("23456789") + random_digits(chance, 10)
    return poured(chance, body + aadhaar.verhoeff.calc_check_digit(body), "#### #### ####", "#### #### ####", "")


def pan_in(chance: Random) -> str:
    """India: tax."""
    return filled(chance, "@@@P@####@", "@@@P@####@", "@@@C@####@").replace("0000", "1204")


def cpf_br(chance: Random) -> str:
    """Brazil: everybody's number."""
    body = random_digits(chance, 9)
    return poured(chance, body + cpf._calc_check_digits(body), "###.###.###-##", "###.###.###-##", "")
