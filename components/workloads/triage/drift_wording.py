"""The words of later customers: app style and slang, and the names of a new product line.

The rules of `wording.py` apply: a statement asks for no refund, mentions no deadline and no earlier message, and is
unambiguous under the written definitions. `lookalikes` again borrow the words of a neighbouring intent.
"""

# Each template is on one line, for easy comparison.

from components.workloads.triage.rules import Signal
from components.workloads.triage.wording import IntentWording

# This season's line and what people call it; the shop's catalogue says which name belongs to which product.
LAUNCHED: dict[str, tuple[str, ...]] = {
    "robot_vacuum": ("Mopsy", "Mopsy XL", "mop bot"),
    "smart_watch": ("Tiko", "Tiko Air", "health ring"),
    "air_purifier": ("Fjord One", "Fjord", "pollen tower"),
}

APP_STATEMENTS: dict[str, IntentWording] = {
    "order_status": IntentWording(
        plain=(
            "eta on {item}?",
            "any eta for {order}? its {a_item}",
            "bought {a_item} {ago}, whens it dropping",
            "{item}: shipped or nah?",
            "pls ping me once the {item} is out of ur depot",
            "curious abt progress of {order} ({item})",
            "whats the plan for my {item}, {day} or later?",
            "{order} / {item} / how far along are we",
            "does {carrier} have my {item} already",
            "got a countdown for the {item}? app shows none",
        ),
        lookalikes=(
            "no {item} on my doormat, and thats ok cos its slotted for {day}. still on?",
            "empty doormat atm, {item} not expected til {day}, just wanna see the route",
            "{item} not here. not complaining, {day} is the day. all good on ur end?",
            "app says 0 of 1 delivered, ofc, {item} is for {day}. on track?",
        ),
    ),
    "not_received": IntentWording(
        plain=(
            "{item} is a no show, was meant to land {date}",
            "{item} ghosted me. slot was {date}",
            "{carrier} swears they dropped the {item}. they didnt",
            "app: delivered. reality: no {item} anywhere",
            "{order} ({item}) vanished into thin air after {date}",
            "{item} = {span} behind plan, zero sign of it",
            "who took my {item}? certainly not me, checked {place} twice",
            "{item} never made it to {town}",
            "doorstep pic aint my doorstep. no {item} for me",
            "{span} over the slot n still {item}less",
        ),
        lookalikes=(
            "eta on {item}? slot was {date} n that day is gone",
            "whats the plan for my {item} now that {date} came n went",
            "{item}: app shows handed over, my hands r empty. where to look?",
            "any progress on {order}? the {item} had to be in {town} {ago}",
        ),
    ),
    "change_order": IntentWording(
        plain=(
            "{item} still w/ u? make it {other_colour} instead of {colour}",
            "swap address on {order} to my new flat in {town}, its the {item}",
            "bump the {item} to {day} pls",
            "can the driver drop the {item} at {place} when its coming",
            "typo in my street, {item} not out yet, fix it?",
            "make that two {item} not one, {order}",
            "reroute {item} to a locker in {town}",
            "other name on the label for {item} pls, my flatmates",
            "{day} is bad for the {item} drop, choose another day",
            "{colour} > {other_colour} for the {item}, havent got it yet",
        ),
        lookalikes=(
            "dont kill {order}! only the street is off, {item} goes to {town}",
            "axe the gift wrap, keep the {item} coming",
            "was gonna scrap the {item}, but {day} as new slot works too",
            "drop the {colour}, send the {item} in {other_colour}",
        ),
    ),
    "cancel_order": IntentWording(
        plain=(
            "kill {order}, {item} not needed",
            "pull the plug on my {item}, it hasnt shipped",
            "scrap the {item} b4 it leaves u",
            "{item}: abort abort. not out yet afaik",
            "changed my mind, {item} can stay in ur depot",
            "fat fingered {order}. dont send the {item}",
            "bin my {item} purchase, still processing on ur side",
            "mum got one already so no {item} for us, stop it pls",
            "lose the {item} from the queue, i found one in {town}",
            "nope out of {order} ({item}), it aint packed yet",
        ),
        lookalikes=(
            "sending {item} back makes no sense, it never left u. just dont ship",
            "how 2 give back {a_item} thats still in ur depot? easy, keep it",
            "{item} is too much for my place n not shipped yet, so leave it there",
            "not keeping the {item}. its still processing so nothing to post",
        ),
    ),
    "return_item": IntentWording(
        plain=(
            "{item} is sweet but {reason}. how 2 post it back",
            "qr code for sending the {item} back?",
            "{item} landed fine, not my thing tho, taking it back",
            "wanna give back the {item}, seal still on",
            "not vibing w/ the {item}: {reason}. whats the send back address",
            "{order} came, {item} ok, {reason}, so off it goes to u",
            "drop off point in {town} for {a_item} i wont keep?",
            "{item} unboxed once, runs fine, {reason}",
            "{carrier} can grab the {item} from me? wont keep it, nothing broken",
            "tested the {item} for {span}, solid, {reason}, boxing it up",
        ),
        lookalikes=(
            "kill {order}? too late i guess, {item} sits here sealed since {day}",
            "scrap the {item}, its on my table, runs fine, {reason}",
            "changed my mind, {item} landed {ago} n is untouched",
            "pull the plug on my {item}, {carrier} dropped it {ago}, still wrapped",
        ),
    ),
    "wrong_item": IntentWording(
        plain=(
            "lol u sent {wrong}, i bought {a_item}",
            "mix up at ur depot: {wrong} in the box, no {item}",
            "{item} showed up in {other_colour}, picked {colour}",
            "unboxed {wrong}. where did the {item} go",
            "{order} shld be {a_item}, it is {wrong}",
            "thats not my {item}, thats {wrong} lol",
            "someone elses stuff here: {wrong}. mine is the {item}",
            "got the older {item}, tapped on the new one in the app",
            "{colour} was the deal, {item} here is {other_colour}",
            "box says {item}, content says {wrong}",
        ),
        lookalikes=(
            "qr code for posting {wrong} back? i bought {a_item}",
            "{item} is sweet but {other_colour}, i picked {colour}, off it goes",
            "wont keep {wrong}, {order} was for {a_item}",
            "taking it back: {wrong} was in the box in place of the {item}",
        ),
    ),
    "damaged_item": IntentWording(
        plain=(
            "{item} got wrecked in the van, it {damage}",
            "unboxing fail: {item} {damage}",
            "box looked like roadkill n the {item} {damage}",
            "{carrier} played football w/ it, {item} {damage}",
            "{item} banged up out of the box, {damage}",
            "parcel soggy, {item} {damage}",
            "{order} came all mashed, {item} {damage}",
            "zero bubble wrap so ofc the {item} {damage}",
            "pics attached, box ripped n the {item} {damage}",
            "fresh {item} already {damage}, carton crushed too",
        ),
        lookalikes=(
            "{item} dead on arrival n no wonder: carton flat, it {damage}",
            "{item} wont do a thing, it {damage} from the ride over",
            "cant even boot the {item}, it {damage}, box had a hole",
            "{item} is toast cos {carrier} dropped it, it {damage}",
        ),
    ),
    "defective_item": IntentWording(
        plain=(
            "{item} is acting up: {fault}",
            "{item} went nuts after {span}, it {fault}",
            "new bug on my {item}: {fault}",
            "{item} is toast since {day}, it {fault}",
            "did the reset dance, {item} still {fault}",
            "{item} glitches nonstop n {fault}",
            "{order}: {item} conked out, {fault}",
            "help, {item} {fault} n the manual is useless",
            "{item} kaput, it {fault}, charger is fine",
            "was ok for {span}, then the {item} quit on me: {fault}",
        ),
        lookalikes=(
            "{item} busted, box was mint tho: it {fault}",
            "not a scratch, carton perfect, {item} {fault} anyway",
            "{item} got wrecked by itself, no drop no dent, it {fault}",
            "unboxing was fine, then the {item} {fault}",
        ),
    ),
    "billing_error": IntentWording(
        plain=(
            "ur app grabbed {amount} twice for one {item}",
            "{amount} for {a_item}?? tag said less",
            "double dip on my card: {item}, {amount} a pop",
            "promo code ghosted, {item} went thru at {amount}",
            "who ordered {a_item}? not me, yet {amount} is gone",
            "ur maths is off on {order}, {item} shown two times",
            "hidden fee on the {item}, total says {amount}",
            "receipt for {item} is wonky, vat off, {amount}",
            "one {item}, two hits on my wallet",
            "{item} was on sale, wallet got hit w/ full {amount}",
        ),
        lookalikes=(
            "no send back here, kept the {item}, just a dupe hit of {amount}",
            "wallet is {amount} lighter than agreed for the {item}, nothing was sent back",
            "bonus points turned into a hit of {amount} for the {item}, wrong way round",
            "cash left my wallet two times on {date} for one {item}",
        ),
    ),
    "refund_status": IntentWording(
        plain=(
            "u approved my {item} send back {ago}, cash still mia",
            "still no cash for the {item} u took back {ago}",
            "{item} is w/ u since {date}, payback was agreed, wallet empty",
            "agreed payback for {order} ({item}) not landed",
            "payback for {item}: promised {ago}, nada so far",
            "{amount} for the {item} still floating, u said ok {ago}",
            "app shows payback done for {item}, bank shows zilch",
            "u said within {span} for the {item} payback, n that was {ago}",
            "{order} axed n confirmed {ago}, cash for {item} not seen",
            "where is my agreed payback for the {item}",
        ),
        lookalikes=(
            "hit of {amount} for {item} still on my card, u took it back {ago}",
            "double hit on {item}, u agreed {ago} to undo one, not undone",
            "receipt for {item} says zero since {date}, wallet says else",
            "u called the {item} bill wrong {ago} n promised {amount}, nada",
        ),
    ),
}

APP_SIGNALS: dict[Signal, tuple[str, ...]] = {
    "danger": (
        "heads up: the {item} was smoking",
        "saw sparks fly off the {item}",
        "got zapped by the {item}",
        "{item} reeks of burnt plastic",
    ),
    "threat": (
        "else my lawyer takes over",
        "chargeback is the next tap",
        "see u in court then",
        "bank chargeback form is filled in",
    ),
    "deadline": (
        "gotta be sorted by {by_day}",
        "hard stop {by_date}",
        "flying out {by_day}, needs fixing b4",
        "needs to be done by {by_date} latest",
    ),
    "repeat": (
        "2nd time i type this",
        "told ur bot the same {before}",
        "pinged u {before} already, crickets",
        "3rd ticket on this",
    ),
    "no_hurry": (
        "zero rush",
        "no stress, whenever",
        "take ur time",
        "can wait tbh",
    ),
}
APP_WISHES: dict[str, tuple[str, ...]] = {
    "refund": (
        "cash back pls",
        "wire me the cash back",
        "want my cash back on the card",
        "payback pls, no voucher",
        "just give me the money back",
    ),
    "replacement": ("send a fresh one pls", "swap it for a working {item} pls", "new {item} pls"),
    "repair": ("can u fix it?", "repair slot for the {item}?"),
    "correction": ("fix the bill pls", "send a proper receipt"),
    "credit": ("store credit is cool", "ok w/ a voucher instead of cash"),
    "refund_refused": ("dont want cash back, just sort it", "no payback needed"),
    "refund_later": ("might want cash back some day, not now", "payback maybe later, not asking yet"),
    "refund_due": ("when does the cash land?", "send it over already"),
}
