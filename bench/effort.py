"""How much is asked, and for how many seconds.

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

# So many ask at once, ...
CONNECTIONS = 64
# ... or, where it is measured what that changes, so many.
CLIENTS = [1, 8, CONNECTIONS, 256, 512]
# Rates, as parts of the most that can be answered, which a moment does not tell well.
SHARES = [0.2] if SHORT else [0.01, 0.2, 0.5, 0.8]
# Refreshes a second, while others log in.
IN_A_STORM = 100 if SHORT else 1_000
# Of a rate that is asked for, so much must be kept: in a moment, one pause of the machine is a large part.
KEPT_UP = 0.5 if SHORT else 0.9
# Connections on which nobody asks.
IDLE = 100 if SHORT else 10_000
# Of so many accounts, ...
MANY = 4_000 if SHORT else 100_000
# ... so many are asked for, from all over.
SPREAD = 2_000
