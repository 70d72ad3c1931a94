"""The SQS actions between wire and engine: what may be asked, how it is checked, what is answered.

Read in this order: `actions` (the table of what each action takes, which drives both protocols), `reading` (the exact
check by that table), `results` (what is answered), `service` (who handles what), and the handlers in `queues`,
`sending`, `receiving`, `settling`, `tags` and `permissions`. `errors` is the catalogue of refusals.
"""
