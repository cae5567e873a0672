"""The words around an order's values, in English and German."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Templates of each part of an order, in one language."""

    items: tuple[str, ...]
    goods: tuple[str, ...]
    days: tuple[str, ...]
    places: tuple[str, ...]
    remarks: tuple[str, ...]
    openings: tuple[str, ...]
    closings: tuple[str, ...]


ENGLISH = Words(
    items=(
        "oak flooring", "copper cable", "green tea", "floor wax", "rye flour", "garden twine", "olive oil", "paint",
        "coffee beans", "steel wire", "linen cloth", "wood glue", "sea salt", "hand soap", "rope", "sesame", "candles",
    ),
    goods=(
        "{quantity} of {item} ({code})", "{quantity} {item} {code}", "item {code}, {quantity}", "{code}: {quantity}",
        "{item} no. {code}, qty {quantity}", "{quantity} of {code}", "product {code} - {quantity}",
        "{quantity}, {item}, code {code}", "qty: {quantity} / art. {code}",
    ),
    days=(
        "by {day}", "due {day}", "deliver {day}", "needed on {day}", "delivery date {day}", "date: {day}",
        "not later than {day}", "{day}",
    ),
    places=("to {place}", "ship to {place}", "address: {place}", "deliver to {place}", "{place}", "for {place}"),
    remarks=(
        "ref {number}", "PO {number}", "please ring the bell", "call before delivery", "as last time", "tel {number}",
        "no substitutes", "invoice {number} is paid", "leave it with the neighbour", "same price as before",
    ),
    openings=("Order: ", "Morning, ", "Hi, we need ", "Please send ", "Hello, order again: ", "new order - ", "FW: "),
    closings=(". Many thanks", " Thanks", " thx, Ann", ". Best, Tom", " please confirm", "!"),
)  # fmt: skip
GERMAN = Words(
    items=(
        "Parkett", "Kupferkabel", "Kräutertee", "Bodenwachs", "Roggenmehl", "Bindfaden", "Olivenöl", "Wandfarbe",
        "Kaffeebohnen", "Stahldraht", "Leinen", "Holzleim", "Meersalz", "Seife", "Seil", "Sesam", "Kerzen",
    ),
    goods=(
        "{quantity} {item} ({code})", "{quantity} {item} {code}", "Artikel {code}, {quantity}", "{code}: {quantity}",
        "{item} Nr. {code}, Menge {quantity}", "{quantity} von {code}", "Art.-Nr. {code} - {quantity}",
    ),
    days=("bis {day}", "Liefertermin {day}", "am {day}", "Lieferung {day}", "spätestens {day}", "{day}"),
    places=("an {place}", "Lieferadresse: {place}", "nach {place}", "{place}", "Adresse {place}"),
    remarks=(
        "Best.-Nr. {number}", "bitte klingeln", "Tel. {number}", "wie immer", "vorher anrufen", "kein Ersatz",
        "Rechnung {number} ist bezahlt",
    ),
    openings=("Bestellung: ", "Bitte senden: ", "Guten Tag, wir brauchen ", "Hallo, "),
    closings=(". Vielen Dank", " Danke", " Gruss, Jan", " MfG Keller", "!"),
)  # fmt: skip
