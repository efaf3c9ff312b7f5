# JupyterLab with all that the notebooks need: it prints its address. Faces come in, and what runs write is kept, as
# volumes of docker run: --volume "$PWD/faces:/home/lab/age-classifier/data:ro", --volume
# reports:/home/lab/age-classifier/reports, --volume checkpoint:/home/lab/age-classifier/checkpoint
FROM python:3.12-slim

# Debian keeps no version but the newest: none can be pinned. The commit that pages and results name comes from git.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /bin/bash lab
USER lab
# Outside the checkout, where an editor may show another one in its place.
ENV VENV=/home/lab/venv PATH=/home/lab/venv/bin:$PATH
RUN mkdir /home/lab/age-classifier
WORKDIR /home/lab/age-classifier

# What takes long is done again only when the lock file is another one. So old an installation make brings to its end.
COPY --chown=lab requirements.lock .
RUN python -m venv "$VENV" && pip install --no-cache-dir --requirement requirements.lock \
    && touch -t 200001010000 "$VENV/installed"
COPY --chown=lab . .
RUN make "$VENV/installed" && mkdir -p reports \
    && echo '{"ServerApp": {"ip": "0.0.0.0", "open_browser": false}}' > "$VENV/etc/jupyter/jupyter_server_config.json"

VOLUME ["/home/lab/age-classifier/data", "/home/lab/age-classifier/checkpoint", "/home/lab/age-classifier/reports"]
EXPOSE 8888
CMD ["make", "lab"]
