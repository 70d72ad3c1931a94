"""How subscriptions become queues (`plan`), and how a publish finds its recipients (`routes`)."""
