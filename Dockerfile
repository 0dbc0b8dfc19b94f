# syntax=docker/dockerfile:1
#
# A sandbox in a container, for test suites: docs/sandbox/README.md says how to use it.
#
#     docker build --build-arg VERSION="$(git describe --tags --always)" --tag pinvault .
#     docker run --read-only --publish 8080:8080 pinvault
FROM golang:1.26.8-bookworm AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Without cgo, so that it needs nothing of the image that it is put into.
RUN CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags "-s -w -X main.version=${VERSION}" -o bin/pinvault ./impl/cmd/pinvault

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=dev
LABEL org.opencontainers.image.title="PinVault" \
      org.opencontainers.image.description="A card-PIN server that speaks processors' contracts; a sandbox of it unless told otherwise" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /src/bin/pinvault /pinvault
COPY --from=build /src/LICENSE /LICENSE
USER 65532:65532
# All that a sandbox writes is temporary. With this, the rest may be read-only.
VOLUME ["/tmp"]
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --start-interval=1s CMD ["/pinvault", "healthcheck"]
ENTRYPOINT ["/pinvault"]
CMD ["sandbox", "--listen", "0.0.0.0:8080"]
