"""What decides among the behaviours that the delivery contract permits.

Wherever SQS may do one thing or another, the engine asks a `Chooser`. Calm is the answer that surprises nobody; every
other one is a deviation, named by site and key.

    chooser     the question, and the calm answer
    sites       where it is asked, and what may be answered
    scripts     deviations as plain data
    triggers    what has to happen before one can come up
    choosers    answers by script, by chance, within budgets, recorded
    profiles    how often by chance
"""

from busframe_emulator.delivery.chooser import CALM, Calm, Chooser

__all__ = ["CALM", "Calm", "Chooser"]
