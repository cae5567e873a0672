"""The words around the statement of intent: products, side sentences, fillers, greetings, names.

Each list has many wordings of the same thing. Side sentences name the product where "it" could refer to another order,
so that there is always a single right answer.
"""

# Each template is on one line, for easy comparison.

from components.workloads.triage.rules import Signal

SURFACES: dict[str, tuple[str, ...]] = {
    "robot_vacuum": (
        "robot vacuum",
        "vacuum robot",
        "robo vac",
        "robotic hoover",
        "Rollo S7",
        "Rollo Mini",
    ),
    "coffee_machine": (
        "coffee machine",
        "espresso maker",
        "coffee maker",
        "bean machine",
        "Barino",
        "Barino Duo",
    ),
    "wifi_router": ("wifi router", "router", "mesh router", "wlan box", "Netzo Max", "Netzo Home"),
    "smart_watch": (
        "smart watch",
        "smartwatch",
        "fitness band",
        "sports watch",
        "Pulsa 3",
        "Pulsa Fit",
    ),
    "air_purifier": (
        "air purifier",
        "air cleaner",
        "air filter unit",
        "room purifier",
        "Brisa 400",
        "Brisa Go",
    ),
    "video_doorbell": (
        "video doorbell",
        "doorbell",
        "door camera",
        "doorbell cam",
        "Klingo View",
        "Klingo Pro",
    ),
}
GENERIC_FAULTS = (
    "will not switch on",
    "shuts down after a minute",
    "shows only a red light",
    "freezes on the start screen",
    "does not react to the app",
    "makes a grinding noise and stops",
    "restarts again and again",
    "no longer charges",
    "gives error E4 and stops",
)
FAULTS: dict[str, tuple[str, ...]] = {
    "robot_vacuum": (
        "drives in circles",
        "cannot find its dock",
        "does not pick up dust",
        "keeps getting lost",
    ),
    "coffee_machine": (
        "does not pump water",
        "serves only cold coffee",
        "does not grind",
        "leaks from inside",
    ),
    "wifi_router": (
        "drops the connection",
        "finds no signal",
        "is slow as a snail",
        "loses its password",
    ),
    "smart_watch": (
        "does not count steps",
        "loses an hour each day",
        "does not pair",
        "measures no pulse",
    ),
    "air_purifier": (
        "does not blow any air",
        "always shows bad air",
        "hums and stops",
        "ignores the filter change",
    ),
    "video_doorbell": (
        "does not ring",
        "shows a black picture",
        "records no video",
        "rings with nobody there",
    ),
}
DAMAGES = (
    "has a crack across the front",
    "is dented on one side",
    "has a broken cover",
    "has deep scratches all over",
    "is bent at the corner",
    "has a shattered panel",
    "is split along the seam",
    "has a hole in the back",
    "has a torn cable",
    "is chipped at the edge",
    "is in two parts",
    "has a smashed front",
    "is missing a corner that broke off",
    "has a squashed plug",
)
REASONS = (
    "it is too loud for our flat",
    "it is bigger than I thought",
    "I do not use it",
    "my wife does not like the look",
    "it does not match our kitchen",
    "we already have one",
    "I prefer another brand",
    "it is too heavy for me",
    "the colour is not my taste in real life",
    "it needs an app and I do not want that",
    "I found I have no room for it",
    "the kids are not interested",
)
WRONG_ARTICLES = (
    "a kitchen scale",
    "a set of towels",
    "a phone case",
    "a bag of cables",
    "a desk lamp",
    "a pair of shoes in size 43",
    "a toaster",
    "two packs of filters",
    "a garden hose",
    "a children's book",
    "a yoga mat",
    "a hair dryer",
    "some bed linen",
    "a keyboard",
)
COLOURS = (
    "black",
    "white",
    "silver",
    "smoke grey",
    "dark blue",
    "red",
    "green",
    "sand",
    "rose",
    "copper",
)
CARRIERS = ("DHL", "UPS", "the post", "FedEx", "the courier", "DPD", "GLS", "the driver")
PLACES = (
    "the front door",
    "the side gate",
    "the reception",
    "the garage",
    "the back porch",
    "the shed",
    "the gate",
)
TOWNS = (
    "Leeds", "Porto", "Graz", "Bergen", "Ghent", "Austin", "Lyon", "Basel", "Cork", "Turin", "Utrecht", "Malmo",
    "Denver", "Kiel", "Bristol", "Tampa", "Gdansk", "Girona", "Oulu", "York", "Halle", "Trieste", "Nantes", "Boise",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
COUNTS = ("two", "three", "four", "five", "six", "eight", "ten")
AGO = (
    "last week",
    "yesterday",
    "a few days ago",
    "a fortnight ago",
    "two weeks ago",
    "last month",
    "ten days ago",
)

ORDER_PHRASES = (
    "order {order_id}",
    "my order {order_id}",
    "order no. {order_id}",
    "order #{order_id}",
    "{order_id}",
)
ORDER_SENTENCES = (
    "Order number: {order_id}.",
    "The order number is {order_id}.",
    "My order is {order_id}.",
    "It is about order {order_id}.",
    "Order no. {order_id}, in my name.",
    "Reference {order_id}.",
    "You find it under {order_id}.",
    "The number on my confirmation is {order_id}.",
    "Ref: {order_id}",
    "This concerns {order_id}.",
    "Order ID {order_id}, if that helps.",
    "The purchase in question is {order_id}.",
    "(order {order_id})",
)
NO_ORDER_SENTENCES = (
    "I do not have the order number at hand.",
    "I cannot find the order number.",
    "Sorry, no order number, I deleted the mail.",
    "You should find the order under my name.",
    "The order number is on a paper I lost.",
)
OTHER_ORDER_FIRST = (
    "My earlier order {other} came without any trouble.",
    "Order {other} was fine, this is about another one.",
    "Please ignore {other}, that one is settled.",
    "I wrote the number {other} on the phone form, that was not the right one.",
    "With {other} all went well, not so this time.",
    "I am happy with {other}. My question is about something else.",
    "Not {other}, that was last year, but the following.",
    "I bought from you before, {other}, and had no issue then.",
    "Order {other} belongs to my brother and is done.",
    "In contrast to {other}, which was perfect, this one needs your attention.",
)
OTHER_ORDER_AFTER = (
    "This is not about {other}, which is fine.",
    "My other order, {other}, is fine.",
    "Please do not touch {other}, that one is separate.",
    "The second order {other} has nothing to do with this.",
    "By the way, {other} was perfect.",
    "Do not mix it up with {other}, please.",
    "{other} from last year went well, for comparison.",
    "The number {other} on the old slip is another purchase.",
)
AMOUNT_SENTENCES = (
    "I paid {amount}.",
    "The {item} cost {amount}.",
    "The total for the {item} was {amount}.",
    "It is {amount} we are talking about.",
    "Price: {amount}.",
    "The invoice says {amount}.",
    "For the {item} you took {amount}.",
    "The {item} was {amount} in your shop.",
    "That is {amount} for the {item}.",
    "My receipt shows {amount}.",
    "I spent {amount} on the {item}.",
    "Amount on the bill: {amount}.",
)
OTHER_AMOUNTS = (
    "Shipping was {small} on top.",
    "I also have a voucher of {small} in my account, that is for later.",
    "The gift wrap was another {small}.",
    "I tipped the driver {small}.",
    "The delivery fee of {small} is not the point.",
)
OTHER_PRODUCTS = (
    "My {other_item} from your shop is great.",
    "I also own your {other_item} and like it.",
    "The {other_item} I got from you last year runs well.",
    "Later I may buy the {other_item} too.",
    "A friend of mine is happy with the {other_item}.",
)

SIGNALS: dict[Signal, tuple[str, ...]] = {
    "danger": (
        "There was smoke coming out of the {item}.",
        "I saw sparks when I plugged the {item} in.",
        "The {item} smells burnt.",
        "I got an electric shock from the {item}.",
        "There is a burning smell from the {item}.",
        "The {item} gave off smoke in the kids' room.",
        "Sparks flew out of the {item}.",
        "I touched the {item} and got a shock.",
    ),
    "threat": (
        "Otherwise my lawyer will write to you.",
        "I will ask my bank for a chargeback.",
        "My lawyer is already informed.",
        "If nothing happens I go to court.",
        "My bank is ready to do a chargeback.",
        "The next letter comes from my lawyer.",
        "I have started a chargeback with my card company.",
        "I am going to take legal steps.",
    ),
    "deadline": (
        "I need this solved by {by_day}.",
        "It has to be settled before {by_date}.",
        "We leave on {by_day} and need a solution before that.",
        "I need it done by {by_date} at the latest.",
        "{by_day} is the last day that works for me, it must be solved by then.",
        "It is for a birthday on {by_date}, so please fix it before.",
        "This must be sorted out before {by_day}.",
        "Please solve it by {by_day}, after that I am abroad.",
        "My deadline is {by_date}.",
        "Without a solution by {by_day} I have a problem at work.",
    ),
    "repeat": (
        "This is my third message about this.",
        "I already wrote to you {before} and got no answer.",
        "I called twice about it.",
        "Nobody replied to my first mail about this.",
        "I told your hotline the same thing {before}.",
        "I am writing about this for the second time.",
        "Your chat promised me a call back on this, none came.",
        "See my earlier message on this, which was not answered.",
        "I have been asking about this for {waited}.",
    ),
    "no_hurry": (
        "There is no rush.",
        "No hurry at all.",
        "Whenever you find the time.",
        "This is not urgent.",
        "It can wait, no stress.",
        "Take your time.",
        "Any time next month is early enough.",
        "I am in no hurry with this.",
    ),
}
WISHES: dict[str, tuple[str, ...]] = {
    "refund": (
        "Please refund me.",
        "I want my money back.",
        "Kindly return the money to my card.",
        "I would like a refund.",
        "Please pay the money back.",
        "I ask for a refund to my account.",
        "Send me the money back, please.",
        "A refund is what I want.",
        "Please transfer the money back.",
        "I expect to be refunded.",
        "Can I get my money back?",
        "Please reimburse me.",
        "I want to be paid back.",
        "No voucher please, I want the money.",
    ),
    "replacement": (
        "Please send me a replacement.",
        "Can you send a new {item}?",
        "I would like a new one.",
        "Please send the {item} once more.",
        "A replacement would be great.",
        "Please ship me a proper {item}.",
    ),
    "repair": (
        "Can it be repaired?",
        "Please repair the {item}.",
        "Is there a technician who can look at the {item}?",
        "Would a repair be covered?",
        "Tell me how to fix the {item}.",
    ),
    "correction": (
        "Please correct the invoice.",
        "Send me a corrected bill, please.",
        "Please check this with your accounts team.",
        "I need a correct invoice for my files.",
    ),
    "credit": (
        "A voucher is fine for me in place of money.",
        "You can put the sum on my store account as credit.",
        "I would take a different model in exchange.",
        "I would rather swap it for another model.",
    ),
    "refund_refused": (
        "I do not want a refund.",
        "No refund please, I only want this sorted out.",
        "I am not asking for my money back.",
        "Please do not refund it.",
        "Keep the money, just put it right.",
    ),
    "refund_later": (
        "If this cannot be solved I may ask for a refund later.",
        "Should it fail, a refund could be an option, not yet though.",
        "I am not asking for a refund so far, maybe another time.",
        "Perhaps I will want my money back one day, for now please help.",
    ),
    "refund_due": (
        "Please tell me when the money will be in my account.",
        "I want my money.",
        "Please send the money now.",
        "Please pay it out.",
        "When is the money coming?",
    ),
}
FILLERS = (
    "I have been a customer for {span_years} years.",
    "Normally I am very happy with your shop.",
    "You can reach me on {phone} in the evening.",
    "My postcode is {postcode}.",
    "My customer number is {number}.",
    "I live on the {floor} floor.",
    "I bought the {item} after reading a test.",
    "The weather here in {town} is awful, by the way.",
    "Sorry for my English.",
    "I hope you can help me.",
    "I am sure there is a simple answer.",
    "My phone is {phone}.",
    "The {item} is for my home in {town}.",
    "I work from {hour} to 18:00, so mail is best.",
    "I looked in the FAQ, page {page}, and found nothing.",
    "A short reply is enough.",
    "Please answer in writing.",
    "I was born in {year}, so forgive me if I miss the obvious.",
    "The article number of the {item} is {serial}.",
    "I paid by card ending in {card}.",
    "Please copy my partner on the reply.",
    "Our house number is {page}.",
    "I placed the order on {old_date}.",
    "I am not good with computers.",
    "Your newsletter is nice, by the way.",
    "My friend in {town} recommended your shop.",
    "Let me know what you need from me.",
    "The hold music on your line is something else.",
)
SUBJECTS = (
    "{item}", "Question", "Your shop", "My {item}", "Help with the {item}", "Message to customer care", "Request",
    "{item} from {town}", "Hello", "Customer {number}", "about my {item}", "Inquiry",
)  # fmt: skip
GREETINGS = (
    "Hello",
    "Dear team",
    "Hi",
    "Dear Sir or Madam",
    "Good morning",
    "Hi there",
    "Good evening",
    "Dear support",
)
CLOSINGS = (
    "Best regards",
    "Kind regards",
    "Thanks",
    "Many thanks",
    "Yours",
    "Best",
    "Sincerely",
    "Cheers",
)
CHAT_OPENERS = ("hi", "hey", "hello", "hiya", "hi there", "yo", "good morning", "heya")
CHAT_CLOSERS = ("thx", "thanks", "ty", "cheers", "thank u", "ok thx", "pls help")
SENT_FROM = ("Sent from my phone", "Sent from my tablet", "Get the mail app for free")
QUOTES = (
    "Thank you for shopping with us.",
    "You can rate our shop here.",
    "Our shop is open from {hour} to 20:00.",
    "This mail was sent to customer {number}.",
)
OTHER_ORDER_QUOTES = (
    "Your order {other} was delivered on {old_date}.",
    "Order {other} is complete. Thank you.",
    "Rate your purchase {other} from {old_date}.",
    "The invoice for {other} is attached.",
)
QUOTE_HEADERS = (
    "On {old_date} the shop wrote:",
    "--- Old message, {old_date} ---",
    "Original mail, {old_date}:",
)
FORM_TOPICS = ("Orders", "Other", "General", "My purchase", "Question", "Products")
ABBREVIATIONS = {
    "please": "pls", "you": "u", "your": "ur", "are": "r", "because": "cuz", "thanks": "thx", "with": "w/",
    "and": "n", "about": "abt", "message": "msg", "what": "wat", "people": "ppl", "before": "b4", "number": "no",
}  # fmt: skip
FIRST_NAMES = (
    "Ada", "Bruno", "Carla", "Dinesh", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kemal", "Lena", "Marta",
    "Nils", "Olga", "Pablo", "Quentin", "Rosa", "Samir", "Tessa", "Umar", "Vera", "Wanda", "Xavier", "Yara", "Zoltan",
    "Aiko", "Boris", "Chiara", "Dario", "Emeka", "Freya", "Goran", "Hanna", "Ivo", "Joana", "Kofi", "Linh", "Mei",
)  # fmt: skip
LAST_NAMES = (
    "Abel", "Bakker", "Costa", "Dietz", "Eriksen", "Fontaine", "Gupta", "Hansen", "Ivanov", "Jansen", "Keller",
    "Lopez", "Meyer", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Vogel", "Walker",
    "Yilmaz", "Zimmer", "Berg", "Conti", "Duarte", "Egger", "Fischer", "Grant", "Holm", "Iqbal", "Kowalski", "Larsen",
)  # fmt: skip
