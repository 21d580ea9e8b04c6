"""Locust's users against a governed gateway, from one command to a page of HTML.

Owns the start of Locust and where its report goes; the users themselves are in `locustfile.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.target import MODEL, Lab, Shape

FOLDER = Path(__file__).parent / "reports"
USERS = Path(__file__).parent / "locustfile.py"
STREAM = "stream-20-50"
EMBEDDING = "text-embedding-3-small"


def play(users: int, seconds: int, web: bool) -> int:
    """Run Locust before a gateway of our own. Shape: Locust's exit code, not 0 if one call failed."""
    FOLDER.mkdir(exist_ok=True)
    with Lab() as lab:
        target = lab.gateway(lab.provider(), Shape(models=(STREAM, EMBEDDING)))
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(USERS),
            "--host",
            f"http://127.0.0.1:{target.port}",
        ]
        command += ["--users", str(users), "--spawn-rate", str(users)]
        if not web:
            command += ["--headless", "--run-time", f"{seconds}s", "--html", str(FOLDER / "locust.html")]
            command += ["--only-summary"]
        names = {"MODEL": MODEL, "STREAM_MODEL": STREAM, "EMBEDDING_MODEL": EMBEDDING, "KEY": target.key}
        environ = os.environ | {f"KPGATE_BENCH_{name}": value for name, value in names.items()}
        return subprocess.run(command, env=environ, check=False).returncode
