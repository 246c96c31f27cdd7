package attack_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	storedID        = "AKIACANARYSTOREDKEY0"
	storedSecret    = "canaryStoredSecret/wJalrXUtnFEMI+K7MDENG"
	temporaryID     = "ASIACANARYTEMPORARY0"
	temporarySecret = "canaryTemporarySecret/zYxWvUtSrQpOnMlKj"
	temporaryToken  = "IQoJb3JpZ2luX2VjEO7//canary+session/token+of+a+role=="
)

// hostileAWS plays STS, and an S3 that finds every signature wrong and says so as S3
// does, or gives back in other ways what it was sent.
func hostileAWS(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if strings.HasPrefix(string(body), "Action=AssumeRole") {
		_, _ = fmt.Fprintf(w, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>"+
			"<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
			temporaryID, temporarySecret, temporaryToken, time.Now().Add(15*time.Minute).UTC().Format(time.RFC3339))
		return
	}
	authorization := r.Header.Get("Authorization")
	_, signature, _ := strings.Cut(authorization, "Signature=")
	canonical := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), r.URL.RawQuery, "host:" + r.Host, "x-amz-date:" + r.Header.Get("X-Amz-Date"),
		"x-amz-security-token:" + r.Header.Get("X-Amz-Security-Token"), "", "host;x-amz-date;x-amz-security-token", r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\nscope\n" + strings.Repeat("0", 64)
	w.Header().Set("X-Kind", authorization)
	switch strings.TrimPrefix(r.URL.Path, "/things/") {
	case "s3":
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>%s</AWSAccessKeyId><StringToSign>%s</StringToSign>"+
			"<SignatureProvided>%s</SignatureProvided><StringToSignBytes>% x</StringToSignBytes><CanonicalRequest>%s</CanonicalRequest>"+
			"<CanonicalRequestBytes>% x</CanonicalRequestBytes></Error>",
			strings.Split(strings.TrimPrefix(authorization, "AWS4-HMAC-SHA256 Credential="), "/")[0], text, signature, text, canonical, canonical)
	case "json":
		_, _ = fmt.Fprintf(w, `{"authorization":%q,"token":%q}`, authorization, r.Header.Get("X-Amz-Security-Token"))
	case "split":
		flush := http.NewResponseController(w)
		for _, c := range []byte(authorization + r.Header.Get("X-Amz-Security-Token")) {
			_, _ = w.Write([]byte{c})
			_ = flush.Flush()
		}
	case "presigned":
		_, _ = fmt.Fprintf(w, "https://s3.test/x?X-Amz-Security-Token=%s&X-Amz-Signature=%s", strings.ReplaceAll(temporaryToken, "/", "%2F"), signature)
	}
}

// Neither a stored key, nor a session that was bought with it, nor a signature comes back
// to the sandbox, however the upstream gives back what it was sent.
func TestAttack16_AWSEcho(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(hostileAWS))
	role := `, role: "arn:aws:iam::123456789012:role/x", sts: {endpoint: "` + upstream.Origin + `/", network: {allow: [127.0.0.0/8]}, tls: {ca: "` +
		strings.ReplaceAll(upstream.CA, "\n", "\\n") + `"}}`
	b := testenv.NewSite(t, "", 0).Start(t)
	for name, stored := range map[string]string{
		"":   storedID + ":" + storedSecret + ":" + temporaryToken,
		role: storedID + ":" + storedSecret,
	} {
		b.Apply(t, upstream.Manifest("things", "{main: {owner: workspace, attach: {aws: {region: eu-central-1, service: s3"+name+"}}}}", testenv.Things))
		b.Put(t, "things", "", stored)
		task := b.Mint(t, nil, readThings)
		sandbox, rest := b.Client(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Sandbox, task.Key)
		for _, way := range []string{"s3", "json", "split", "presigned"} {
			t.Run(way, func(t *testing.T) {
				before := len(upstream.Wire())
				answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": way})
				require.NoError(t, err)
				var got bytes.Buffer
				_, _ = fmt.Fprintf(&got, "%+v %s", answer, answer.Body)
				stream, err := sandbox.InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": way})
				require.NoError(t, err)
				_, _ = fmt.Fprintf(&got, "%+v", stream.Response)
				for piece, err := range stream.Data() {
					require.NoError(t, err)
					got.Write(piece)
				}
				overREST := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+way+`"}`))
				_, _ = fmt.Fprintf(&got, "%s %v", overREST.Body, overREST.Header)
				require.Contains(t, got.String(), "[redacted]")

				secrets := []string{storedID, storedSecret, temporaryID, temporarySecret, temporaryToken}
				for _, part := range strings.Split(upstream.Wire()[before:], "Signature=")[1:] {
					secrets = append(secrets, part[:64])
				}
				require.GreaterOrEqual(t, len(secrets), 8, "the upstream did get signatures")
				absent(t, "what the sandbox got", got.String(), secrets...)
				absent(t, "what the sandbox got, decoded", decodeBase64Members(got.String()), secrets...)
				for i, secret := range secrets { // as S3 writes bytes
					require.False(t, strings.Contains(got.String(), fmt.Sprintf("% x", secret)), "secret %d in spaced hex", i)
				}
			})
		}
		absent(t, "the broker's log", b.Log(), storedID, storedSecret, temporaryID, temporarySecret, temporaryToken)
	}
	require.Contains(t, upstream.Wire(), temporaryToken, "the upstream did get the token")
	require.NotContains(t, upstream.Wire(), storedSecret)
	require.NotContains(t, upstream.Wire(), temporarySecret)
}

// STS cannot be called as an upstream: its answers are credentials.
func TestAttack16_STSIsNoUpstream(t *testing.T) {
	b := testenv.NewSite(t, "", 0).Start(t)
	manifest := testenv.Manifest("sts", "https://sts.eu-central-1.amazonaws.com", "",
		"{main: {owner: workspace, attach: {aws: {region: eu-central-1, service: sts}}}}", testenv.Things)
	refused := b.CLIWith(t, testenv.Operator, "", manifest, "connector", "apply", "-f", "-")
	require.NotZero(t, refused.Code)
	require.Contains(t, refused.Stderr, "its answers are credentials")
}
