"""What customers and clerks say at the desk."""

ASKS = {
    "cancel": (
        "Please cancel my {item}.",
        "I do not want the {item} any more.",
        "Stop the {item}, please.",
    ),
    "refund": (
        "I want my money back for the {item}.",
        "Please refund the {item}.",
        "The {item} goes back, so pay.",
    ),
    "address": ("Please send my {item} to {city}.", "I moved to {city}, the {item} has to go there."),
    "damaged": ("My {item} arrived damaged.", "The {item} is damaged, who can help?"),
    "status": ("Where is my {item}?", "What is the status of my {item}?"),
}
FACTS = {
    "email": ("It is {email}.", "{email}", "My e-mail is {email}."),
    "order": ("The number is {order}.", "{order}", "It says {order} here."),
}
CORRECTIONS = ("Sorry, I meant {order}.", "Oh, wrong one: {order}.", "I misread it, it is {order}.")
QUESTIONS = {
    "email": "What is your e-mail?",
    "order": "What is the order's number?",
    "again": "There is no order {order}. What is its number?",
}
# What has to be said of the reason, and how it goes on.
REFUSALS = {
    "owner": ("another owner", "has this order"),
    "packing": ("no longer packing", "is what it is"),
    "delivered": ("not delivered", "yet"),
    "days": ("more than {days} days", "have passed"),
}
