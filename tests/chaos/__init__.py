"""``make chaos``: a seeded storm of all faults at random while mail flows, and then the count.

`chaos.plan` and `chaos.deeds` say what goes wrong, from the seed alone. `chaos.storm` lets it happen to real
processes and real servers. `chaos.verdict` compares what the SMTP server kept with what the ledger says.
"""
