package attack_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// No header of a REST request says who calls: that is for the TLS peer. Each of these
// tries to make the second sandbox pass for the first, or for the operator.
func TestAttack03_HeaderSpoof(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	first, operator := b.SPIFFEID(testenv.Sandbox), "spiffe://"+testenv.Domain+"/operator"
	for name, header := range map[string][]string{
		"gateway metadata":           {"Grpc-Metadata-X-Spiffe-Id", first},
		"gateway authorization":      {"Grpc-Metadata-Authorization", "Bearer " + task.Key},
		"gateway metadata in binary": {"Grpc-Metadata-Peer-Bin", "c3BpZmZlOi8v"},
		"SPIFFE ID":                  {"X-Spiffe-Id", first},
		"Envoy's client certificate": {"X-Forwarded-Client-Cert", "URI=" + first},
		"JWT-SVID":                   {"X-Onedoor-Jwt-Svid", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
		"forwarded":                  {"Forwarded", "for=127.0.0.1", "X-Forwarded-For", "127.0.0.1", "X-Real-Ip", "127.0.0.1"},
		"method override":            {"X-Http-Method-Override", "DELETE"},
		"grpc timeout":               {"Grpc-Timeout", "1n"},
	} {
		t.Run(name, func(t *testing.T) {
			asThief := b.REST(t, testenv.Sandbox2, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), header...)
			require.Equal(t, "TASK_KEY_INVALID", asThief.Reason(t))
			asOwner := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodGet, "/v1/tools", "", header...)
			require.Equal(t, http.StatusOK, asOwner.Status, "what is no identity is of no effect either: %s", asOwner.Body)
			keyless := b.REST(t, testenv.Sandbox, "").Do(t, http.MethodGet, "/v1/tools", "", header...)
			require.Equal(t, "TASK_KEY_INVALID", keyless.Reason(t), "nor is a key taken from there")
			for i := range header {
				if header[i] == first {
					header[i] = operator
				}
			}
			asOperator := b.REST(t, testenv.Sandbox2, "").Do(t, http.MethodGet, "/v1/connectors", "", header...)
			require.Equal(t, "CALLER_NOT_ALLOWED", asOperator.Reason(t))
		})
	}
	require.Zero(t, upstream.Requests())

	t.Run("two keys are no key", func(t *testing.T) {
		twice := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodGet, "/v1/tools", "", "Authorization", "Bearer "+task.Key)
		require.Equal(t, http.StatusBadRequest, twice.Status, twice.Body)
	})
	t.Run("no header of the caller's goes up", func(t *testing.T) {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`),
			"X-Smuggled", "smuggled", "Cookie", "smuggled=1", "Grpc-Metadata-X", "smuggled")
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		require.NotContains(t, upstream.Wire(), "muggled")
	})
}
