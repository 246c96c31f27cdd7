package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// hashVersion separates these hashes from all others and from later encodings.
const hashVersion = "onedoor-audit|v1"

// Sum is the hash of e: SHA-256 over its fields as they are stored, each with its
// length before it so that no two rows encode alike. Hash and Signature are left out.
func (e *Event) Sum() []byte {
	b := make([]byte, 0, 768)
	b = appendText(b, hashVersion)
	b = appendText(b, e.ChainID)
	b = appendInt(b, e.Seq)
	b = appendText(b, e.Workspace)
	b = appendText(b, e.BrokerID)
	b = appendInt(b, micros(e.Time))
	for _, s := range [...]string{
		string(e.Kind), e.InvocationID, e.TaskID, e.KeyID, e.UserID, e.Agent, e.SPIFFEID,
		e.AuthMethod, e.Peer, e.Connector, e.Tool, e.Decision, e.Reason, string(e.Outcome),
		e.GrantID, e.CredentialID, e.Detail, e.SigningKeyID,
	} {
		b = appendText(b, s)
	}
	b = appendInt(b, int64(len(e.Resources)))
	for _, r := range e.Resources {
		b = appendText(b, r)
	}
	for _, n := range [...]int64{
		e.Revision, int64(e.Severity), e.CredentialVersion, int64(e.UpstreamStatus),
		e.RequestBytes, e.ResponseBytes, e.Duration.Microseconds(), e.Count,
	} {
		b = appendInt(b, n)
	}
	b = appendText(b, string(e.PrevHash))
	sum := sha256.Sum256(b)
	return sum[:]
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // fields are far below 4 GiB
	return append(b, s...)
}

func appendInt(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // two's complement on purpose
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// normal makes e what the store will give back: whole microseconds, valid UTF-8 and
// no NUL, which PostgreSQL cannot hold; else the hash of the row as read would differ
// from the one written.
func (e *Event) normal() {
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	e.Duration = e.Duration.Truncate(time.Microsecond)
	if e.Count == 0 {
		e.Count = 1
	}
	// All texts, also those that should be clean: one row that the store refuses would
	// hold up every row behind it.
	for _, s := range [...]*string{
		&e.Workspace, &e.BrokerID, (*string)(&e.Kind), &e.InvocationID, &e.TaskID, &e.KeyID, &e.UserID, &e.Agent,
		&e.SPIFFEID, &e.AuthMethod, &e.Peer, &e.Connector, &e.Tool, &e.GrantID, &e.CredentialID, &e.Decision,
		&e.Reason, (*string)(&e.Outcome), &e.Detail, &e.SigningKeyID,
	} {
		*s = cleanText(*s)
	}
	clean := make([]string, len(e.Resources)) // the list may be somebody else's: not written to
	for i, r := range e.Resources {
		clean[i] = cleanText(r)
	}
	e.Resources = clean
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
