"""The emulator on trial: chance and scripts at the HTTP edge and in the engine, and a history of what came of it.

Loaded when the server is started with a profile, a seed or a script. `keeping` holds the adversary, the history and the
checkers; `edge` lets requests and answers get lost and late; `batches` lets entries of batches fail.
"""

from busframe_emulator.server.trial.batches import PartialBatches
from busframe_emulator.server.trial.edge import TrialRoutes
from busframe_emulator.server.trial.keeping import Trial

__all__ = ["PartialBatches", "Trial", "TrialRoutes"]
