package egress_test

import (
	"os"
	"testing"
)

// Every test here runs with an environment that would lead all of it to a proxy which is
// not there, were it looked at. It is set before anything runs: net/http reads it once.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		if err := os.Setenv(name, "http://127.0.0.1:9"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
