# Forebay's image: the one binary on Debian slim, not root, on a read-only root file system.
#
#   docker build -t forebay .
#   docker run --read-only -p 8545:8545 -v "$PWD/my.yaml:/forebay/conf/pingora.yaml:ro" forebay
#
# Only /forebay/data is written to: the embedded registry and the last good list.

ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS build
WORKDIR /build
# The dependencies in a layer of their own, behind an empty program: they change seldom, and take
# most of the time.
COPY Cargo.toml Cargo.lock ./
COPY patches patches
COPY crates/core/Cargo.toml crates/core/
COPY crates/fake/Cargo.toml crates/fake/
RUN mkdir src crates/core/src crates/fake/src \
    && touch src/lib.rs crates/core/src/lib.rs crates/fake/src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features otlp --bin forebay \
    && rm -rf src crates target/release/.fingerprint/forebay-*
COPY conf conf
COPY crates crates
COPY src src
RUN cargo build --release --locked --features otlp --bin forebay

FROM debian:${DEBIAN}-slim
# The newest certificates, whatever version carries them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/dpkg.log \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /forebay --shell /usr/sbin/nologin forebay \
    && install -d -m 0755 /forebay /forebay/conf \
    && install -d -m 0700 -o forebay -g forebay /forebay/data
COPY LICENSE /usr/share/doc/forebay/LICENSE
COPY conf/pingora.yaml /forebay/conf/pingora.yaml
COPY --from=build /build/target/release/forebay /usr/local/bin/forebay

WORKDIR /forebay
# Relative paths count from here, wherever the configuration is mounted.
ENV FOREBAY_HOME=/forebay
USER 10001:10001
# With its owner, so that a volume of the platform's is writable too (ECS takes both from here).
VOLUME ["/forebay/data"]
# JSON-RPC and /health; metrics. The admin interface stays on loopback unless told otherwise.
EXPOSE 8545 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["forebay", "health"]
ENTRYPOINT ["forebay"]
CMD ["serve"]

# Last, so that a new version or revision makes no layer anew.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="forebay" \
      org.opencontainers.image.description="A JSON-RPC load balancer for Ethereum nodes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
