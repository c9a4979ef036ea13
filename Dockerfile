# Two stages: the first builds the packages as scripts/packages does, the second is the official image with the package.
#
#   docker build -t sage-intacct-fdw .
#   docker build -t intacct-simulator --target simulator .
#   docker build -t sage-intacct-fdw --build-arg PG_MAJOR=15 --build-arg DEBIAN=bookworm .
#
# The official image is the base of both: its own source of packages has the headers of the server that it runs.
ARG PG_MAJOR=17
ARG DEBIAN=trixie

FROM postgres:${PG_MAJOR}-${DEBIAN} AS build
ARG PG_MAJOR
ARG RUST=1.95.0
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl gcc libc6-dev make
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain ${RUST}
COPY . /src
WORKDIR /src
ENV PG_MAJOR=${PG_MAJOR}
RUN scripts/setup build && scripts/package /packages

FROM debian:${DEBIAN}-slim AS simulator
COPY --from=build /packages/intacct-simulator_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/intacct-simulator_*.deb && rm -rf /tmp/*.deb /var/lib/apt/lists/*
USER nobody
EXPOSE 8080
CMD ["intacct-simulator", "--listen", "0.0.0.0:8080"]

FROM postgres:${PG_MAJOR}-${DEBIAN}
ARG PG_MAJOR
COPY --from=build /packages/postgresql-${PG_MAJOR}-sage-intacct-fdw_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/postgresql-*-sage-intacct-fdw_*.deb && rm -rf /tmp/*.deb /var/lib/apt/lists/*
CMD ["postgres", "-c", "shared_preload_libraries=sage_intacct_fdw"]
