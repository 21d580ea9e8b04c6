# Two stages: a compiler builds, the image that runs has none.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md ./
COPY kpgate ./kpgate
RUN python -m venv /opt/kpgate && /opt/kpgate/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/kpgate /opt/kpgate
ENV PATH=/opt/kpgate/bin:$PATH MALLOC_ARENA_MAX=2 PYTHONUNBUFFERED=1
RUN mkdir /data && chown nobody:nogroup /data && chmod 700 /data
USER nobody
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["kpgate"]
CMD ["serve", "--data", "/data", "--host", "0.0.0.0"]
