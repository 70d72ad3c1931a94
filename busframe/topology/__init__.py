"""Who subscribed to what, and the queues that come of it.

    plan, registration     from a program's groups to queues and rows of the recipient list
    routes                 from a publish to its recipients
    edits                  what an operator's wishes mean for the rows; pure
    leaving, moving        taking down a queue when it is empty; carrying its messages to another
    graph, drift           what there is, and where program, list and queues differ
    applying               making them agree
    operations             all of it for a live connection: `live.topology`
    access                 which role needs which queues, for access policies

Of these only `moving`, `leaving`, `applying` and `registration` change anything; `operations` calls them.
"""
