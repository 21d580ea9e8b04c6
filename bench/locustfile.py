"""Real users' shapes for Locust: chat turns, streams, embeddings, and keys that are refused.

Run by `python -m bench locust`, or by hand with `locust -f bench/locustfile.py --host URL`; the key is read from
KPGATE_BENCH_KEY, the models from KPGATE_BENCH_MODEL and KPGATE_BENCH_STREAM_MODEL.
"""

import os
from typing import Any

from locust import FastHttpUser, between, task

KEY = os.environ.get("KPGATE_BENCH_KEY", "none")
MODEL = os.environ.get("KPGATE_BENCH_MODEL", "gpt-4o-mini")
STREAM_MODEL = os.environ.get("KPGATE_BENCH_STREAM_MODEL", MODEL)
EMBEDDING_MODEL = os.environ.get("KPGATE_BENCH_EMBEDDING_MODEL", "text-embedding-3-small")
QUESTIONS = ("Why is the sky blue?", "And red in the evening?", "Write a haiku of it.", "Thank you!")


class Chatting(FastHttpUser):
    """Somebody who talks in turns, each longer than the last, and reads some answers as streams."""

    wait_time = between(0.05, 0.2)

    def on_start(self) -> None:
        """Locust's: a user arrives."""
        self.said: list[dict[str, str]] = []
        self.headers = {"authorization": f"Bearer {KEY}"}

    @task(6)
    def turn(self) -> None:
        """A chat turn that keeps the conversation."""
        question = QUESTIONS[len(self.said) // 2 % len(QUESTIONS)]
        messages = [*self.said, {"role": "user", "content": question}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 64}
        with self.client.post(
            "/v1/chat/completions", json=body, headers=self.headers, name="chat", catch_response=True
        ) as reply:
            if reply.status_code != 200:
                reply.failure(f"status {reply.status_code}")
                return
            answer = reply.json()["choices"][0]["message"]["content"]
        self.said = [*messages, {"role": "assistant", "content": answer}][-8:]

    @task(3)
    def stream(self) -> None:
        """A streamed answer, read to its end."""
        body: dict[str, Any] = {"model": STREAM_MODEL, "stream": True, "max_tokens": 64}
        body["messages"] = [{"role": "user", "content": QUESTIONS[0]}]
        with self.client.post(
            "/v1/chat/completions", json=body, headers=self.headers, name="stream", catch_response=True
        ) as reply:
            if reply.status_code != 200 or b"data: [DONE]" not in (reply.content or b""):
                reply.failure(f"status {reply.status_code}, or a stream without its end")

    @task(2)
    def embed(self) -> None:
        """An embedding."""
        body = {"model": EMBEDDING_MODEL, "input": QUESTIONS[0]}
        self.client.post("/v1/embeddings", json=body, headers=self.headers, name="embedding")

    @task(1)
    def refused(self) -> None:
        """A key that is not known: 401 is the right answer."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": "Bearer sk-nobody"}
        with self.client.post(
            "/v1/chat/completions", json=body, headers=headers, name="refused key", catch_response=True
        ) as reply:
            if reply.status_code == 401:
                reply.success()
            else:
                reply.failure(f"status {reply.status_code} for an unknown key")
