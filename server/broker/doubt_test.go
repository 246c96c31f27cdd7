package broker_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/credential"
)

// doubting writes down what was doubted.
type doubting struct {
	broker.Credentials
	records []credential.Record
}

func (d *doubting) Doubt(records []credential.Record) { d.records = append(d.records, records...) }

// TestA401IsADoubt: of the credential that went along, and of nothing else; the answer is
// handed over as it is.
func TestA401IsADoubt(t *testing.T) {
	for status, doubted := range map[int]int{http.StatusOK: 0, http.StatusForbidden: 0, http.StatusUnauthorized: 1} {
		b := newBench(t)
		d := &doubting{Credentials: b.credentials}
		b.options.Credentials = d
		b.Broker = broker.New(b.options)
		b.answer(text(status, "no"))
		c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:*")
		a, err := b.Invoke(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, status, a.Status)
		require.Equal(t, "no", string(a.Body))
		require.Len(t, d.records, doubted, "%d", status)
		for _, r := range d.records {
			require.Equal(t, "crm", r.Connector)
			require.Equal(t, c.Caller.Task.User.ID, r.UserID)
		}
	}
}
