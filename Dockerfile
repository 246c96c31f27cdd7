# The broker, and nothing else but the CA certificates by which upstreams are verified.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags kms_all -ldflags '-s -w' -o /out/ ./server/cmd/onedoord

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/onedoord /onedoord
USER 65532:65532
ENTRYPOINT ["/onedoord"]
CMD ["serve", "--config", "/etc/onedoor/config/onedoord.yaml"]
