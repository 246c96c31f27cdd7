//go:build kms_aws || kms_all

package kms_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"
)

// startMoto runs moto's AWS server until the test ends and points the AWS SDK at it,
// away from any credentials of whoever runs the test. stop ends it sooner.
func startMoto(t *testing.T) (stop func()) {
	t.Helper()
	venv := os.Getenv("ONEDOOR_VENV")
	if venv == "" {
		venv = filepath.Join("..", "..", ".venv")
	}
	program, err := filepath.Abs(filepath.Join(venv, "bin", "moto_server"))
	require.NoError(t, err)
	require.FileExists(t, program, "moto is not installed: run `make deps`, or set ONEDOOR_VENV")

	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var output bytes.Buffer
	server := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	server.Stdout, server.Stderr = &output, &output
	require.NoError(t, server.Start())
	stop = sync.OnceFunc(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("moto_server said:\n%s", output.String())
		}
	})
	t.Cleanup(stop)
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/moto-api/data.json")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "moto_server did not answer")

	empty := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL":            "http://" + address,
		"AWS_ACCESS_KEY_ID":           "testing",
		"AWS_SECRET_ACCESS_KEY":       "testing",
		"AWS_SESSION_TOKEN":           "",
		"AWS_PROFILE":                 "",
		"AWS_CONFIG_FILE":             empty,
		"AWS_SHARED_CREDENTIALS_FILE": empty,
		"AWS_EC2_METADATA_DISABLED":   "true",
	} {
		t.Setenv(name, value)
	}
	return stop
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// newKMS gives the AWS client, for what an operator does.
func newKMS(t *testing.T) *kms.Client {
	t.Helper()
	settings, err := config.LoadDefaultConfig(context.Background(), config.WithRegion("eu-central-1"))
	require.NoError(t, err)
	return kms.NewFromConfig(settings)
}

// createKey makes a symmetric key and returns its ARN.
func createKey(t *testing.T, client *kms.Client) string {
	t.Helper()
	made, err := client.CreateKey(context.Background(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	return *made.KeyMetadata.Arn
}
