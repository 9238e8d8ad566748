"""How much is asked, and for how long.

With `--short`, a moment of each: that tells whether everything can still be measured, and no figure.
"""

import sys

SHORT = "--short" in sys.argv

ROUNDS = 1 if SHORT else 5
# What a contender is asked before it is measured, and then.
WARM = 1
SECONDS = 1 if SHORT else 3
# Where it is the slowest hundredth that matters, which of three seconds would be that of one moment in which the machine did something
# else; and where what is unfinished at the end is a part of the whole.
LONG = 2 if SHORT else 10
# Signet gives the memory of its hashes back when there was none for ten seconds.
REST = 1 if SHORT else 12

CONNECTIONS = 64
# So many ask at once.
CLIENTS = [1, 8, CONNECTIONS, 256, 512]
# Of what can be answered at most. A moment does not tell what that is.
SHARES = [0.2] if SHORT else [0.01, 0.2, 0.5, 0.8]
# Refreshes a second, while others log in.
IN_A_STORM = 100 if SHORT else 1_000
# Connections on which nobody asks.
IDLE = 10_000
# Of so many accounts, so many are asked for, from all over.
MANY, SPREAD = 4_000 if SHORT else 100_000, 2_000
