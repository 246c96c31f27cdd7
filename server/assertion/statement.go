package assertion

import (
	"context"
	"encoding/base64"
	"errors"
	"io"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// The values of typ of what is said to a token endpoint. No service that is called takes
// them for an assertion about a request, nor a token endpoint the one for the other.
const (
	typUser  = "onedoor-user+jwt"
	typAgent = "onedoor-agent+jwt"
)

// statement is said to a token endpoint, which gives an access token for it (RFC 8693).
// It is about a task and not about one request: the token is used for many.
type statement struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"` // the user's opaque id, or the agent
	// SubjectID is how the user's own issuer knows them (RFC 9493, 3.2.4), so that a
	// token endpoint can find them. It is left out where an agent is the subject.
	SubjectID *subjectID `json:"sub_id,omitempty"`
	// Actor is left out where the agent is the subject itself.
	Actor    *actor  `json:"act,omitempty"`
	Profile  string  `json:"sub_profile,omitempty"`
	Workload string  `json:"req_wl"`
	Txn      string  `json:"txn"`
	ID       string  `json:"jti"`
	IssuedAt int64   `json:"iat"`
	Expires  int64   `json:"exp"`
	Context  bounds  `json:"tctx"`
	Request  request `json:"rctx"`
}

type subjectID struct {
	Format  string `json:"format"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// bounds says within what the subject acts.
type bounds struct {
	Task      string `json:"task"`
	Workspace string `json:"workspace"`
}

// StateUser says who the user of a recorded call is, and which agent acts for them. The
// user is the task's, verified when it was made, and nobody else.
func (m *Minter) StateUser(_ context.Context, i audit.Intent, caller *task.Caller, audience string) (vault.Secret, error) {
	return m.state(i, caller, audience, typUser, func(s *statement) {
		user := caller.Task.User
		s.Subject, s.SubjectID = user.ID, &subjectID{"iss_sub", user.Issuer, user.Subject}
		s.Actor = actorOf(&caller.Task)
	})
}

// StateAgent says which agent acts in a recorded call.
func (m *Minter) StateAgent(_ context.Context, i audit.Intent, caller *task.Caller, audience string) (vault.Secret, error) {
	return m.state(i, caller, audience, typAgent, func(s *statement) {
		s.Subject, s.Profile = caller.Task.Agent, agentProfile
	})
}

func (m *Minter) state(i audit.Intent, caller *task.Caller, audience, typ string, about func(*statement)) (vault.Secret, error) {
	if err := i.Check(); err != nil {
		return vault.Secret{}, err
	}
	if m.o.Issuer == "" {
		return vault.Secret{}, fault.New(fault.CredentialMissing, noIssuer, nil)
	}
	if i.Workspace() != caller.Task.Workspace || audience == "" {
		return vault.Secret{}, internal(errors.New("statement, intent and caller do not belong together"))
	}
	jti := make([]byte, 16)
	if _, err := io.ReadFull(m.o.Rand, jti); err != nil {
		return vault.Secret{}, internal(err)
	}
	at := m.o.Now()
	s := statement{
		Issuer: m.o.Issuer, Audience: audience, Workload: caller.Workload.String(), Txn: i.InvocationID(),
		ID: base64.RawURLEncoding.EncodeToString(jti), IssuedAt: at.Unix(), Expires: at.Add(life).Unix(),
		Context: bounds{caller.Task.ID, caller.Task.Workspace},
		Request: request{SPIFFEID: caller.Workload.String(), KeyID: caller.Task.KeyID},
	}
	about(&s)
	token, err := m.sign(typ, &s)
	if err != nil {
		return vault.Secret{}, internal(err)
	}
	return vault.NewSecret([]byte(token)), nil
}
