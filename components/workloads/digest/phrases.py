"""The words of digest's threads: products, faults, what was tried, what is promised, and small talk.

Keys are a digest's short wordings; values are the wordings of customers and agents.
"""

# Products by their possible faults.
WATER = ("Velora kettle", "Kalto fridge", "Fenno iron", "Ulva humidifier", "Rondo dishwasher", "Ciro coffee machine")
SIGNAL = ("Senta speaker", "Brixo printer", "Nuvo router", "Pico camera", "Dexa monitor", "Jaspa headset", "Lumo lamp")
OTHERS = ("Tumo blender", "Harko heater", "Ondra fan", "Mira oven", "Tavo drill", "Quilo toaster", "Wendo vacuum")
PRODUCTS = (*WATER, *SIGNAL, *OTHERS)
WATER_FAULTS: dict[str, tuple[str, ...]] = {
    "leaks": ("leaks on the floor", "is losing water", "drips all the time"),
}
SIGNAL_FAULTS: dict[str, tuple[str, ...]] = {
    "loses connection": ("keeps dropping the wifi", "disconnects every hour", "cannot hold the signal"),
}
COMMON_FAULTS: dict[str, tuple[str, ...]] = {
    "does not turn on": ("won't turn on", "does not start any more", "stays dead whatever I press"),
    "is too loud": ("makes a terrible noise", "rattles like mad", "has become very loud"),
    "arrived cracked": ("came with a crack", "has a crack in the case", "was cracked in the box"),
    "overheats": ("gets far too hot", "overheats after a minute", "burns my hands"),
    "smells burnt": ("smells of burnt plastic", "smells like smoke", "has a burnt smell"),
    "has the wrong colour": ("came in red instead of white", "is in the wrong colour", "is black, I ordered blue"),
    "lacks a part": ("came without the cable", "has no lid in the box", "is missing its screws"),
    "switches itself off": ("goes off by itself", "stops after five minutes", "dies in the middle of work"),
    "has not arrived": ("never arrived", "is still not here", "got lost on the way"),
}
FAULTS = {**WATER_FAULTS, **SIGNAL_FAULTS, **COMMON_FAULTS}
# What the customer claims to have tried.
TRIED: dict[str, tuple[str, ...]] = {
    "reset": ("I reset it twice", "I already did a reset", "a reset changed nothing"),
    "new cable tried": ("I tried another cable", "I swapped the cable, no change", "a new cable did not help"),
    "cleaned": ("I cleaned it as the manual says", "I have cleaned everything", "cleaning did nothing"),
    "update installed": ("I installed the update", "the update is installed", "I ran the latest update"),
    "photos sent": ("I mailed you photos", "you have my photos", "I sent pictures of it"),
    "shop asked": ("I asked the shop, no luck", "the shop could not help", "the shop sent me to you"),
}
# What the agent claims to have done.
ARRANGED: dict[str, tuple[str, ...]] = {
    "stock checked": ("I checked our stock", "I have looked at the stock"),
    "carrier asked": ("I asked the carrier about it", "the carrier has been asked"),
    "case passed to workshop": ("I passed this on to the workshop", "our workshop has your case now"),
    "new part sent": ("we sent a new part on the 2nd", "a new part is on its way since the 2nd"),
}
# What the agent asks the customer to try, and the customer has not: key → the request.
REQUESTS: dict[str, tuple[str, ...]] = {
    "reset": ("Could you do a reset?", "Please try a reset."),
    "new cable tried": ("Please try another cable.", "Could you swap the cable?"),
    "cleaned": ("Could you clean it first?", "Please clean it as the manual says."),
    "update installed": ("Please install the update.", "Could you run the latest update?"),
    "photos sent": ("Could you send photos?", "Please mail us some photos."),
}
NOT_TRIED = (
    "I could not do that yet.", "No time for that so far.", "Have not done it yet.", "Not yet, I am travelling.",
    "I will see, not done so far.", "That has to wait, sorry.",
)  # fmt: skip
NOTHING = "nothing yet"
PROMISES: dict[str, tuple[str, ...]] = {
    "replacement": (
        "we will send a replacement by {day}",
        "a new one reaches you by {day}",
        "you get a new one by {day}",
    ),
    "refund": (
        "we will refund the full price by {day}",
        "your money is back by {day}",
        "you get the money back by {day}",
    ),
    "technician": ("a technician comes on {day}", "our technician visits you on {day}"),
    "call back": ("I will call you back on {day}", "we ring you on {day}"),
    "courier pickup": ("a courier picks it up on {day}", "our courier collects it on {day}"),
    "voucher": ("we will mail a voucher by {day}", "you get a voucher by {day}"),
    "repair": ("we will have it repaired by {day}", "the repair is done by {day}"),
}
OPENINGS = ("", "", "Hi, ", "Hello, ", "hey ", "Good morning, ")
STATEMENTS = (
    "my {product} {fault}", "the {product} I bought {fault}", "the {product} {fault}", "our {product} {fault}",
    "I have a {product} that {fault}",
)  # fmt: skip
ORDERS = ("Order {order}.", "My order is {order}.", "It was order {order}.", "Order number {order}.", "({order})")
OTHER_ORDERS = (
    "Order {other} came fine.", "This is not about {other}.", "{other} was another matter.",
    "My order {other} is settled.",
)  # fmt: skip
WISHES = ("I need it by {day}.", "Can you solve this by {day}?", "It must work by {day}.", "We leave on {day}.")
GREETINGS = ("Sorry to hear that.", "Thanks for writing.", "Hello, thanks.", "Sorry about that.", "", "")
ANSWER = "Let me see."
CHANGES = (
    "Sorry, that is not possible after all:", "Correction:", "I have to change this:",
    "That does not work out, so instead", "Change of plan:",
)  # fmt: skip
OBJECTIONS = ("That is too late for me.", "Is there no other way?", "I would rather not.", "Hm, anything else?")
FILLERS = ("Please hurry.", "Not happy!", "Thanks in advance.", "What now?", "Please help.", "Any idea?")
CLOSINGS = ("", "", "", "Kind regards, Eva", "Best, Jon", "Regards, Mia", "Bye, Ole")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = ("January", "March", "April", "May", "June", "July", "August", "October", "November")
