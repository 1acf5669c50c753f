#!/bin/sh
# Builds .collector/otelcol by OpenTelemetry's own builder, unless it was built of this very manifest and this Go.
# Exit status 69: Go is absent, or a module cannot be had (in 400 s), so nothing can be said about the Collector. 1: it does not compile.
set -eu
cd "$(dirname "$0")/../.."
BUILDER=go.opentelemetry.io/collector/cmd/builder@v0.165.0
PATH=$PATH:/usr/local/go/bin
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false ${GOFLAGS:-}"

unavailable() {
    echo "collector: NOT TESTED, $1" >&2
    exit 69
}
command -v go >/dev/null || unavailable "Go is not installed (1.25 or newer)"

made_of=$(go version; cat deploy/collector/builder.yaml deploy/collector/build.sh)
if [ -x .collector/otelcol ] && [ "$(cat .collector/made-of 2>/dev/null)" = "$made_of" ]; then
    exit 0
fi
rm -rf .collector
timeout 400 go run "$BUILDER" --config deploy/collector/builder.yaml --skip-compilation || unavailable "a Go module cannot be had"
cd .collector
timeout 400 go mod download || unavailable "a Go module cannot be had"
go build -trimpath -ldflags "-s -w" -o otelcol .
echo "$made_of" >made-of
