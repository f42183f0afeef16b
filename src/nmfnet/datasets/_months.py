"""Dates with the name of a month: 31 Dec 2020, December 31, 2020, 31. Dezember 2020, 31 de diciembre de 2020."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

NAMES = {
    "English": "january february march april may june july august september october november december",
    "German": "januar februar märz april mai juni juli august september oktober november dezember",
    "in Austria": "jänner feber maerz april mai juni juli august september oktober november dezember",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "Dutch": "januari februari maart april mei juni juli augustus september oktober november december",
    "Portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "Swedish": "januari februari mars april maj juni juli augusti september oktober november december",
    "Danish": "januar februar marts april maj juni juli august september oktober november december",
    "Norwegian": "januar februar mars april mai juni juli august september oktober november desember",
    "Polish": "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień",
    "in Polish dates": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada "
    "grudnia",
    "Czech": "leden únor březen duben květen červen červenec srpen září říjen listopad prosinec",
    "in Czech dates": "ledna února března dubna května června července srpna září října listopadu prosince",
    "short, not by the first letters": "jän feb mrz apr mai jun jul aug set okt nov dez",
    "short in Czech": "led úno bře dub kvě čvn čvc srp zář říj lis pro",
    "short in Dutch": "jan feb mrt apr mei jun jul aug sep okt nov dec",
}
# Beginnings that mean another month above keep that: Finnish marraskuu is no March of "mar".  Croatian is left out, as
# its October is the November of Polish and Czech.
FURTHER_NAMES = {
    "Finnish": "tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu marraskuu "
    "joulukuu",
    "in Finnish dates": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta "
    "syyskuuta lokakuuta marraskuuta joulukuuta",
    "Estonian": "jaanuar veebruar märts aprill mai juuni juuli august september oktoober november detsember",
    "Turkish": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    "Hungarian": "január február március április május június július augusztus szeptember október november december",
    "Romanian": "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
    "Slovak": "január február marec apríl máj jún júl august september október november december",
    "in Slovak dates": "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
    "Slovenian": "januar februar marec april maj junij julij avgust september oktober november december",
    "Catalan": "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
    "Indonesian": "januari februari maret april mei juni juli agustus september oktober november desember",
    "Russian": "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "in Russian dates": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "Ukrainian": "січень лютий березень квітень травень червень липень серпень вересень жовтень листопад грудень",
    "in Ukrainian dates": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    "Bulgarian": "януари февруари март април май юни юли август септември октомври ноември декември",
    "Greek": "ιανουάριος φεβρουάριος μάρτιος απρίλιος μάιος ιούνιος ιούλιος αύγουστος σεπτέμβριος οκτώβριος "
    "νοέμβριος δεκέμβριος",
    "in Greek dates": "ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου οκτωβρίου "
    "νοεμβρίου δεκεμβρίου",
}
SHORTEST = 3  # letters of a name that is cut off


def _plain(name: str) -> str:
    """In small letters without accents, and without the missing dot of Turkish."""
    letters = unicodedata.normalize("NFD", name.lower().replace("ı", "i"))
    return "".join(c for c in letters if not unicodedata.combining(c))


def _beginnings(languages: Iterable[str]) -> dict[str, int]:
    """Number of the month that a beginning of a name means, where it means one alone."""
    found: dict[str, set[int]] = {}
    for names in languages:
        for number, name in enumerate(_plain(names).split(), 1):
            for length in range(SHORTEST, len(name) + 1):
                found.setdefault(name[:length], set()).add(number)
    return {name: min(numbers) for name, numbers in found.items() if len(numbers) == 1}


_MONTHS = _beginnings(FURTHER_NAMES.values()) | _beginnings(NAMES.values())
_WORD = r"([^\W\d_]{3,})\.?"
_OF = r"(?:del?\s+|of\s+)?"
_ORDINAL = r"(?:st|nd|rd|th|er|º|°)?"
_DAY_FIRST = rf"(\d{{1,2}}){_ORDINAL}[-. /]*{_OF}{_WORD}[-., /]*{_OF}(\d{{4}}|\d{{2}})"
_MONTH_FIRST = rf"{_WORD}[-. ]+(\d{{1,2}}){_ORDINAL}[-, ]+(\d{{4}})"
_NO_DAY = rf"{_WORD}[-. /]+{_OF}(\d{{4}})"
_SHORT = re.compile(rf"{_WORD}[-. /']+\d{{2}}")  # Dec-20
MOST_NAMES = 12  # of months that are none, beyond which they are words


def _number(name: str) -> int | None:
    """Of the month that a name or its beginning means."""
    return _MONTHS.get(_plain(name))


class NamedMonths:
    """Reads such dates, with the time of the day that may follow.

    Parameters
    ----------
    time : str
        Regular expression of that, which may match nothing.
    """

    def __init__(self, time: str) -> None:
        day_first, month_first, no_day = (
            re.compile(pattern + time, re.IGNORECASE) for pattern in (_DAY_FIRST, _MONTH_FIRST, _NO_DAY)
        )
        self.day_first, self.month_first, self.no_day = day_first, month_first, no_day
        self.forms = ((day_first, (3, 2, 1)), (month_first, (3, 1, 2)), (no_day, (2, 1, None)))

    def parts(self, text: str) -> list[Any] | None:
        """Year, number of the month, day and the parts of the time; None of any other text."""
        text = unicodedata.normalize("NFC", text)
        for pattern, (year, month, day) in self.forms:
            match = pattern.fullmatch(text)
            if match and (number := _number(match[month])) is not None:
                return [match[year], number, 1 if day is None else match[day], *match.groups()[3 if day else 2 :]]
        return None

    def unclear(self, texts: Iterable[str]) -> str | None:
        """Why texts, all of such a form, are no dates that can be read; None where they are not of it."""
        texts = [text.strip() for text in texts]
        short = [match for text in texts if (match := _SHORT.fullmatch(text))]
        if len(short) == len(texts) and all(_number(match[1]) for match in short):
            return "of which nothing tells a day from a year of two digits"
        found = [match for text in texts if (match := self.day_first.fullmatch(text)) and int(match[1]) <= 31]
        names = {match[2] for match in found}
        if not found and all("," in text for text in texts):  # without a comma Golf 5 2010 would be one
            found = [match for text in texts if (match := self.month_first.fullmatch(text)) and int(match[2]) <= 31]
            names = {match[1] for match in found}
        if not found and any(_number(match[1]) for match in map(self.no_day.fullmatch, texts) if match):
            found = [match for text in texts if (match := self.no_day.fullmatch(text))]
            names = {match[1] for match in found}
        unknown = {name for name in names if _number(name) is None}
        if unknown and len(names) <= MOST_NAMES and len(found) == len(texts):
            return f"whose month {min(unknown)!r} is of no language that is known here"
        return None
