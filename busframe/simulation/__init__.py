"""Programs in virtual time: every step follows from a seed, and a week takes seconds.

running                          one run of a program
asyncio_loop, trio_schedule      the two event loops
schedule, places, sealing        who goes first; where a task waits; what is exchanged and refused meanwhile
errors                           what can go wrong with the simulation itself
"""
