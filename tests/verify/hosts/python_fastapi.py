import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "generated"))

import uvicorn
from fastapi_recipe import app

# By default, larger headers are a 400 with a connection reset, which can hide the status from the test.
uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    http="h11",
    h11_max_incomplete_event_size=256 * 1024,
    log_level="warning",
)
