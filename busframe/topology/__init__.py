"""How subscriptions become queues, and a publish finds its recipients."""
