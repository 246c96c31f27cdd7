// Package e2e_test drives the built programs over the wire, as those who use them do:
// onedoord in its own process, the CLI, the Go client, and HTTPS clients that know
// nothing of SPIFFE.
package e2e_test

import (
	"os"
	"testing"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// readContacts is the grant with which most tests call.
const readContacts = "crm: contacts.get READ contact:*"

// kinds gives kind and reason or outcome of each event.
func kinds(events []*onedoorv1.AuditEvent) []string {
	var all []string
	for _, e := range events {
		switch e.GetKind() {
		case "OUTCOME":
			all = append(all, "OUTCOME "+e.GetOutcome())
		case "REFUSAL":
			all = append(all, "REFUSAL "+e.GetReason())
		default:
			all = append(all, e.GetKind())
		}
	}
	return all
}
