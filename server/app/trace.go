package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/credentials"
)

// openTracer sends spans to the configured collector; without one there are none.
// A collector that is down costs spans, never calls.
func (a *App) openTracer(ctx context.Context) (trace.Tracer, error) {
	t := a.config.Telemetry
	if t.OTLPEndpoint == "" {
		return noop.NewTracerProvider().Tracer("onedoor"), nil
	}
	options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(t.OTLPEndpoint)}
	if t.OTLPInsecure {
		options = append(options, otlptracegrpc.WithInsecure())
	} else {
		conf, err := collectorTLS(t.OTLPCAFile)
		if err != nil {
			return nil, fmt.Errorf("telemetry.otlp_ca_file: %w", err)
		}
		options = append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(conf)))
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.TraceIDRatioBased(t.SampleRatio)),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "onedoord"), attribute.String("service.instance.id", a.incarnation),
		)),
	)
	a.closer.add("traces", provider.Shutdown)
	return provider.Tracer("onedoor"), nil
}

func collectorTLS(caFile string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return conf, nil
	}
	text, err := os.ReadFile(caFile) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate")
	}
	return conf, nil
}
