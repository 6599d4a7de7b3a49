# Image of phonics-data and cssgan; docs/container.md has the commands and sizes.
#   docker build -t phonics-cssgan .                                             torch for the CPU
#   docker build -t phonics-cssgan:cuda --build-arg TORCH_BACKEND=cu130 .        torch for NVIDIA GPUs
# Python 3.11, because constraints.txt lists the versions that are tested with it.
ARG BASE=debian:bookworm-slim

# hadolint global ignore=DL3008
# Debian's stable release changes its packages for security only: they are not pinned.

FROM ${BASE} AS build
# cpu, cu130 or another value of `uv pip install --torch-backend`. Empty: the torch of the configured package index.
ARG TORCH_BACKEND=cpu
# Extras of pyproject.toml.
ARG EXTRAS=demo,train,review,ui,whisper,figures
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml constraints.txt README.md LICENSE MANIFEST.in /source/
COPY manifests /source/manifests
COPY phonics_data /source/phonics_data
COPY cssgan /source/cssgan
# Byte code is compiled here: the user of the image cannot write it.
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv venv --python /usr/bin/python3 /opt/phonics \
    && /opt/uv/bin/uv pip install --python /opt/phonics/bin/python --link-mode=copy --compile-bytecode \
        ${TORCH_BACKEND:+--torch-backend=${TORCH_BACKEND}} --constraint /source/constraints.txt "/source[${EXTRAS}]" \
    && ln -s "$(/opt/phonics/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" /opt/phonics/bin/ffmpeg

FROM ${BASE}
LABEL org.opencontainers.image.title="phonics-cssgan" \
    org.opencontainers.image.licenses="MIT AND CC-BY-SA-4.0 AND GPL-3.0-or-later" \
    org.opencontainers.image.source="https://github.com/phonics-cssgan/phonics-cssgan"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home phonics \
    && install --directory --owner=phonics --mode=1777 /data \
    && chmod 1777 /home/phonics
COPY --from=build /opt/phonics /opt/phonics
# HOME and USER are also right for `--user $(id -u):$(id -g)`, a user that the image does not know. numba, which librosa imports, fails
# without a folder for its cache.
ENV PATH=/opt/phonics/bin:$PATH HOME=/home/phonics USER=phonics NUMBA_CACHE_DIR=/tmp/numba PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /data
CMD ["phonics-data", "--help"]
