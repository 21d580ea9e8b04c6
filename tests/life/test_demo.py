"""What the README begins with: a gateway without a configuration, a key, and a first answer."""

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_gives_a_key_that_is_answered_and_warns_of_nothing(tmp_path: Path):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KPGATE_")}
    environ["PYTHONPATH"] = str(ROOT)
    command = [
        sys.executable,
        "-m",
        "kpgate",
        "serve",
        "--demo",
        "--port",
        "0",
        "--data",
        str(tmp_path / "data"),
    ]
    gateway = subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert gateway.stdout is not None
        said = json.loads(gateway.stdout.readline())
        port = re.search(r"://[^/]+:(\d+)/", said["try"])
        assert port is not None, said
        sent = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
        connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=20)
        headers = {"authorization": f"Bearer {said['demo_key']}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(sent), headers)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        connection.close()
        assert reply.status == 200 and answer["choices"][0]["message"]["content"], answer
    finally:
        gateway.terminate()
        try:
            _, told = gateway.communicate(timeout=30)
        finally:
            gateway.kill()
    assert gateway.returncode == 0
    assert "warning" not in told, told
