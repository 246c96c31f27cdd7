// Package aws_test tries what the broker does with AWS against counterparts that are not
// ours: botocore signs the same requests, and moto plays STS, IAM and S3. moto checks
// signatures and the policies of users and roles; it does not apply session policies.
package aws_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// program gives the path of one that is installed with the Python packages.
func program(t *testing.T, name string) string {
	t.Helper()
	venv := os.Getenv("ONEDOOR_VENV")
	if venv == "" {
		venv = filepath.Join("..", "..", ".venv")
	}
	path, err := filepath.Abs(filepath.Join(venv, "bin", name))
	require.NoError(t, err)
	require.FileExists(t, path, "Python's packages are not installed: run `make deps`, or set ONEDOOR_VENV")
	return path
}

// moto is AWS as moto plays it, for one test.
type moto struct {
	url string
	// front is the same behind TLS.
	front *testenv.Upstream
}

func startMoto(t *testing.T) *moto {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var output bytes.Buffer
	server := exec.Command(program(t, "moto_server"), "-H", "127.0.0.1", "-p", port)
	server.Stdout, server.Stderr = &output, &output
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("moto_server said:\n%s", output.String())
		}
	})
	m := &moto{url: "http://" + address}
	require.Eventually(t, func() bool {
		answer, err := http.Get(m.url + "/moto-api/data.json")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "moto_server did not answer")
	target, err := url.Parse(m.url)
	require.NoError(t, err)
	m.front = testenv.NewUpstream(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}})
	return m
}

// do makes a request of an operator's, which is not checked until enforce.
func (m *moto) do(t *testing.T, service, method, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, m.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=operator/20261125/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=none")
	if service == "iam" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s %s: %s", method, path, text)
	return string(text)
}

// iam does one thing in IAM; arguments holds names and values in turn.
func (m *moto) iam(t *testing.T, action string, arguments ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(arguments); i += 2 {
		form.Set(arguments[i], arguments[i+1])
	}
	return m.do(t, "iam", http.MethodPost, "/", form.Encode())
}

// enforce has moto check every signature and policy from now on.
func (m *moto) enforce(t *testing.T) { m.do(t, "moto", http.MethodPost, "/moto-api/reset-auth", "0") }

const (
	account  = "123456789012"
	roleARN  = "arn:aws:iam::" + account + ":role/reports"
	external = "onedoor-external"
)

func policy(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + action + `],"Resource":"` + resource + `"}]}`
}

// furnish makes a bucket with one object; a user who may assume the role and nothing
// else; and the role, which may read and write objects. It gives the user's key.
func (m *moto) furnish(t *testing.T) (key string) {
	t.Helper()
	m.do(t, "s3", http.MethodPut, "/reports", "")
	m.do(t, "s3", http.MethodPut, "/reports/q1", "first quarter")
	m.iam(t, "CreateUser", "UserName", "broker")
	m.iam(t, "PutUserPolicy", "UserName", "broker", "PolicyName", "assume", "PolicyDocument", policy(`"sts:AssumeRole"`, roleARN))
	m.iam(t, "CreateRole", "RoleName", "reports", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
		`"Principal":{"AWS":"arn:aws:iam::`+account+`:user/broker"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"`+external+`"}}}]}`)
	m.iam(t, "PutRolePolicy", "RoleName", "reports", "PolicyName", "objects",
		"PolicyDocument", policy(`"s3:GetObject","s3:PutObject"`, "arn:aws:s3:::reports/*"))
	var made struct {
		Key struct {
			ID     string `xml:"AccessKeyId"`
			Secret string `xml:"SecretAccessKey"`
		} `xml:"CreateAccessKeyResult>AccessKey"`
	}
	require.NoError(t, xml.Unmarshal([]byte(m.iam(t, "CreateAccessKey", "UserName", "broker")), &made))
	require.NotEmpty(t, made.Key.Secret)
	return made.Key.ID + ":" + made.Key.Secret
}
