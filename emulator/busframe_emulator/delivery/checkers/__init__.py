"""Did a broker keep the delivery contract? Judged from a history alone, in one pass.

verdicts        the checks by name; findings and verdicts
state           what is known of queues and messages
engine_level    from an engine's events, each at its exact time
client_level    from what clients saw, each call somewhere between its beginning and its end
"""

from busframe_emulator.delivery.checkers.engine_level import ENGINE_CHECKS, EngineChecks
from busframe_emulator.delivery.checkers.verdicts import CHECKS, Finding, Report, Verdict

__all__ = ["CHECKS", "ENGINE_CHECKS", "EngineChecks", "Finding", "Report", "Verdict"]
