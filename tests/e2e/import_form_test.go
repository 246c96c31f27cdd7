package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

const paySecret = "pay-canary-8d1f0a6c2b7e4953"

// Each prints the form that the upstream got: of a call straight to it, then of the same
// call under /c/pay.
const (
	payPython = `import os
import ssl

from pay_client import AuthenticatedClient
from pay_client.api.default import create_charge
from pay_client.models import Charge, ChargeKind

for base, token, ca in DIRECT, (os.environ["ONEDOOR_REST_URL"] + "/c/pay", os.environ["ONEDOOR_TASK_KEY"], os.environ["ONEDOOR_TRUST_BUNDLE"]):
    tls = ssl.create_default_context(cafile=ca)
    tls.load_cert_chain("svid/svid.pem", "svid/key.pem")
    client = AuthenticatedClient(base_url=base, token=token, verify_ssl=tls)
    charge = Charge(account="a/1", amount=9007199254740993, kind=ChargeKind.REOCCURRING, note="a & b = ä+~*", tags=["x y", "z,"], days=[1, 2], share=0.5)
    print(create_charge.sync(client=client, body=charge).form)
`
	payNode = `import { readFileSync } from 'node:fs';
import createClient, { createQuerySerializer } from 'openapi-fetch';
import { Agent, fetch, Request } from 'undici';

const direct = DIRECT;
for (const [baseUrl, token, ca] of [direct, [process.env.ONEDOOR_REST_URL + '/c/pay', process.env.ONEDOOR_TASK_KEY, process.env.ONEDOOR_TRUST_BUNDLE]]) {
  const dispatcher = new Agent({ connect: { ca: readFileSync(ca), cert: readFileSync('svid/svid.pem'), key: readFileSync('svid/key.pem') } });
  const client = createClient({ baseUrl, fetch: (request) => fetch(request, { dispatcher }), Request });
  const { data } = await client.POST('/v1/customers/{id}', {
    params: { path: { id: 'c1' } },
    headers: { Authorization: 'Bearer ' + token, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: { id: 'c2', name: 'Ann & Co.', address: { line1: '1 [High] St', city: 'Örebro' }, phases: ['a', 'b c'] },
    bodySerializer: createQuerySerializer({ object: { style: 'deepObject', explode: true }, array: { style: 'form', explode: false } }),
  });
  console.log(data.form);
}
`
)

// TestImportedForms: a tool that was imported sends the form that a client sends which was
// made of the same document by others. Only a space and what the standard lets stand
// either way is written otherwise, as %20, and the order is the document's.
func TestImportedForms(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer "+paySecret || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusCreated, map[string]any{"form": string(body)})
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	made := b.CLI(t, testenv.Operator, "", "connector", "import", "testdata/pay.openapi.yaml", "--name", "pay", "--origin", upstream.Origin)
	require.Zero(t, made.Code, made.Stderr)
	require.Contains(t, made.Stderr, "form parameter expand: has the style deepObject")
	b.Apply(t, reachable(made.Stdout, upstream))
	b.Put(t, "pay", "alice", paySecret)
	task := b.Mint(t, nil, "pay: createCharge,updateCustomer DESTRUCTIVE charge:*,customer:c1")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	for name, tc := range map[string]struct{ language, program, tool, arguments, want string }{
		"python": {
			"python", payPython, "createCharge",
			`{"share": "0.5", "account": "a/1", "amount": 9007199254740993, "kind": "re+occurring", "note": "a & b = ä+~*", "tags": ["x y", "z,"], "days": [1, 2]}`,
			"account=a%2F1&amount=9007199254740993&note=a%20%26%20b%20%3D%20%C3%A4%2B~%2A&kind=re%2Boccurring&tags=x%20y&tags=z%2C&days=1&days=2&share=0.5",
		},
		"js": {
			"js", payNode, "updateCustomer",
			`{"path_id": "c1", "id": "c2", "name": "Ann & Co.", "address[line1]": "1 [High] St", "address[city]": "Örebro", "phases": ["a", "b c"]}`,
			"id=c2&name=Ann%20%26%20Co.&address%5Bline1%5D=1%20%5BHigh%5D%20St&address%5Bcity%5D=%C3%96rebro&phases=a,b%20c",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := sandbox.Invoke(t.Context(), "pay", tc.tool, json.RawMessage(tc.arguments))
			require.NoError(t, err)
			var got struct{ Form string }
			require.NoError(t, json.Unmarshal(answer.Body, &got), "%s", answer.Body)
			require.Equal(t, tc.want, got.Form)

			dir := generated(t, tc.language, "pay")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "upstream.pem"), []byte(upstream.CA), 0o600))
			direct, err := json.Marshal([]string{upstream.Origin, paySecret, "upstream.pem"})
			require.NoError(t, err)
			var complaints strings.Builder
			out, ended := runIn(t, dir, b, task.Key, tc.language, strings.Replace(tc.program, "DIRECT", string(direct), 1), &complaints)
			text, err := io.ReadAll(out)
			require.NoError(t, err)
			require.NoError(t, ended(), complaints.String())
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			require.Len(t, lines, 2)
			require.Equal(t, pairsOf(t, lines[0]), pairsOf(t, got.Form), "%s", lines[0])
			require.Equal(t, got.Form, lines[1], "the same call by the client itself")
		})
	}
	_, err := sandbox.Invoke(t.Context(), "pay", "updateCustomer", json.RawMessage(`{"path_id": "c1", "address[city]": "Örebro"}`))
	require.ErrorContains(t, err, "ARGUMENT_INVALID", "an address wants its line1")
}

// pairsOf reads a form: NAME=VALUE, decoded, those of one name in their order.
func pairsOf(t *testing.T, form string) (pairs []string) {
	t.Helper()
	for pair := range strings.SplitSeq(form, "&") {
		text, err := url.QueryUnescape(pair)
		require.NoError(t, err)
		pairs = append(pairs, text)
	}
	slices.SortStableFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return pairs
}
