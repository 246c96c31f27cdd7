package sigv4_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/sigv4"
)

// request is one of the table that botocore signed too; tests/aws asks it again.
type request struct {
	Name, Method, URL, Body string
	Headers                 map[string]string
	ID, Secret, Token       string
	Region, Service, Time   string
	Signed                  map[string]string
}

func requests(t testing.TB) []request {
	t.Helper()
	text, err := os.ReadFile("testdata/requests.json")
	require.NoError(t, err)
	var all []request
	require.NoError(t, json.Unmarshal(text, &all))
	require.Greater(t, len(all), 20)
	return all
}

// headers signs a request, and gives what the signer sets.
func (r request) headers(t testing.TB) (map[string]string, error) {
	t.Helper()
	u, err := url.Parse(r.URL)
	require.NoError(t, err)
	at, err := time.Parse("20060102T150405Z", r.Time)
	require.NoError(t, err)
	text := r.ID + ":" + r.Secret
	if r.Token != "" {
		text += ":" + r.Token
	}
	key, err := sigv4.ParseKey([]byte(text))
	require.NoError(t, err)
	header := http.Header{"User-Agent": {"onedoor"}, "Accept-Encoding": {"gzip"}, "X-Trace": {"1"}}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	return sigv4.Sign(egress.Outgoing{Method: r.Method, URL: u, Header: header, Body: []byte(r.Body)}, key, sigv4.Scope{Region: r.Region, Service: r.Service}, at)
}

// What botocore signs, we sign, byte for byte.
func TestSignsAsBotocoreDoes(t *testing.T) {
	for _, r := range requests(t) {
		t.Run(r.Name, func(t *testing.T) {
			got, err := r.headers(t)
			require.NoError(t, err)
			require.Len(t, got, len(r.Signed))
			for name, value := range r.Signed {
				require.Equal(t, value, got[http.CanonicalHeaderKey(name)], name)
			}
		})
	}
}

// What two readers could take for two paths or queries is not signed; what is one to AWS
// is signed as one.
func TestSignsOnlyWhatIsRead(t *testing.T) {
	r := request{
		Method: "GET", URL: "https://s3.eu-central-1.amazonaws.com/b/a!(b)", Service: "s3", Region: "eu-central-1",
		Time: "20261125T131500Z", ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG",
	}
	raw, err := r.headers(t)
	require.NoError(t, err)
	r.URL = "https://s3.eu-central-1.amazonaws.com/b/a%21%28b%29"
	escaped, err := r.headers(t)
	require.NoError(t, err)
	require.Equal(t, escaped, raw, "S3 reads the path before it escapes it")

	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
		r.Headers = map[string]string{name: "mine"}
		got, err := r.headers(t)
		require.NoError(t, err)
		require.Equal(t, escaped, got, "%s of a request says nothing", name)
	}
	r.Headers = nil
	for _, url := range []string{"https://x.test/a//b", "https://x.test/?a=%zz", "https://x.test/?%=a"} {
		other := r
		other.URL, other.Service = url, "execute-api"
		_, err := other.headers(t)
		require.Error(t, err, url)
	}
}

// One byte of anything that is signed makes another signature.
func TestSignsEverything(t *testing.T) {
	base := request{
		Method: "POST", URL: "https://x.eu-central-1.amazonaws.com/a?b=c", Body: "{}", Service: "dynamodb", Region: "eu-central-1",
		Time: "20261125T131500Z", ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG", Token: strings.Repeat("t", 20),
		Headers: map[string]string{"Content-Type": "application/json", "X-Amz-Target": "Get", "Content-Md5": "x"},
	}
	want, err := base.headers(t)
	require.NoError(t, err)
	for name, change := range map[string]func(*request){
		"method":  func(r *request) { r.Method = "PUT" },
		"host":    func(r *request) { r.URL = "https://y.eu-central-1.amazonaws.com/a?b=c" },
		"path":    func(r *request) { r.URL = "https://x.eu-central-1.amazonaws.com/b?b=c" },
		"query":   func(r *request) { r.URL = "https://x.eu-central-1.amazonaws.com/a?b=d" },
		"body":    func(r *request) { r.Body = "{ }" },
		"secret":  func(r *request) { r.Secret += "x" },
		"token":   func(r *request) { r.Token += "x" },
		"region":  func(r *request) { r.Region = "eu-central-2" },
		"service": func(r *request) { r.Service = "kms" },
		"time":    func(r *request) { r.Time = "20261125T131501Z" },
		"content type": func(r *request) {
			r.Headers = map[string]string{"Content-Type": "text/plain", "X-Amz-Target": "Get", "Content-Md5": "x"}
		},
		"target": func(r *request) {
			r.Headers = map[string]string{"Content-Type": "application/json", "X-Amz-Target": "Put", "Content-Md5": "x"}
		},
		"md5": func(r *request) {
			r.Headers = map[string]string{"Content-Type": "application/json", "X-Amz-Target": "Get", "Content-Md5": "y"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := base
			change(&other)
			got, err := other.headers(t)
			require.NoError(t, err)
			require.NotEqual(t, signatureOf(want), signatureOf(got))
		})
	}
}

func signatureOf(headers map[string]string) string {
	_, signature, _ := strings.Cut(headers["Authorization"], "Signature=")
	return signature
}

func TestParseKey(t *testing.T) {
	const id, secret, token = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+canary", "IQoJb3JpZ2luX2Vj//canary="
	for _, text := range []string{id + ":" + secret, id + ":" + secret + ":" + token} {
		key, err := sigv4.ParseKey([]byte(text))
		require.NoError(t, err)
		require.Equal(t, text, string(key.Text().Reveal()))
		for _, part := range key.Secrets() {
			require.Contains(t, text, string(part))
		}
		require.Len(t, key.Secrets(), strings.Count(text, ":")+1)
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"no secret":       id,
		"an empty secret": id + ":",
		"a short secret":  id + ":short",
		"no id":           ":" + secret,
		"an odd id":       "AKID/EXAMPLE:" + secret,
		"a line break":    id + ":" + secret + "\n",
		"a space":         id + ":" + secret + " x",
		"an empty token":  id + ":" + secret + ":",
		"four parts":      id + ":" + secret + ":" + token + ":x",
		"a long id":       strings.Repeat("A", 200) + ":" + secret,
	} {
		_, err := sigv4.ParseKey([]byte(text))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "canary", name)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG:IQoJb3JpZ2luX2Vj//canary=")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := sigv4.ParseKey([]byte(text))
		if err == nil && string(key.Text().Reveal()) != text {
			t.Error("a key reads back otherwise than it was written")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	r := requests(b)[12]
	for b.Loop() {
		if _, err := r.headers(b); err != nil {
			b.Fatal(err)
		}
	}
}
