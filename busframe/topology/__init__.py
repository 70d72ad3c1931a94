"""How subscriptions become queues and rows (`plan`, `registration`), and how a publish finds them (`routes`)."""
