package upstream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/model"
	"github.com/onedoor/onedoor/server/upstream"
)

// What is not metered, and what is not recorded, is not sent.
func TestModelDemandsAReadCallAndAnIntent(t *testing.T) {
	run := upstream.NewModel(upstream.NewHTTP(egress.New(egress.Options{})))
	for name, call := range map[string]upstream.Call{"not read": {}, "not recorded": {Model: &model.Call{}}} {
		_, err := run.Do(t.Context(), audit.Intent{}, call)
		require.True(t, fault.Is(err, fault.Internal), name)
	}
}

func TestBillOfWhatWasNotAnswered(t *testing.T) {
	terms := &model.Terms{Dialect: model.OpenAI}
	c, err := terms.Prepare(model.Request{
		Method: "POST", Path: "/v1/chat/completions", ContentType: "application/json", Body: []byte(`{"max_tokens":5}`),
	})
	require.NoError(t, err)
	for name, k := range map[string]struct {
		err    error
		billed bool
	}{
		"sent":     {upstream.Fault(&egress.Error{Kind: egress.Lost, Sent: true}, false), true},
		"not sent": {upstream.Fault(&egress.Error{Kind: egress.Unreachable}, false), false},
		"refused":  {fault.New(fault.CredentialMissing, "none", nil), false},
	} {
		b, billed := upstream.Bill(c, nil, k.err)
		require.Equal(t, k.billed, billed, name)
		require.Equal(t, k.billed, b.Usage.Tokens() == c.Estimate.Tokens(), name)
	}
}
