# The image that k8s/ runs: the node of the examples, and the command `greenroom` for
# `kubectl exec greenroom-0 -- greenroom status`. A node of your own needs another package and binary
# in the line with cargo, and nothing else.
#
#   docker build -t greenroom:0.1.0 .
#
# Without an engine, `make image` runs what the builder runs, and looks at the outcome.
FROM rust:1.95-slim-bookworm AS builder
# Backtraces do without line numbers in an image a tenth of the size.
ENV CARGO_PROFILE_RELEASE_DEBUG=false
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential protobuf-compiler libprotobuf-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release \
    --package greenroom-examples --bin node \
    --package greenroom-inspector --bin greenroom

# glibc, libgcc and certificates, of the same Debian; no shell, no package manager. Nothing is written to
# its root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /src/target/release/node /src/target/release/greenroom /usr/local/bin/
# A number, because Kubernetes can't know that a name isn't root's; that of the securityContext in k8s/.
USER 65532:65532
# For peers, and for HTTP.
EXPOSE 7400 7480
ENTRYPOINT ["/usr/local/bin/node"]
