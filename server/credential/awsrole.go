package credential

import (
	"context"
	"errors"
	"strings"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/sigv4"
	"github.com/onedoor/onedoor/server/sts"
)

// awsRole buys with a stored key of AWS one of a role, narrowed to what the call acts on
// and named for the task.
type awsRole struct{ sts *sts.Client }

func (awsRole) check(_ connector.Slot, secret string) error { return awsKey{}.check(secret) }

func (awsRole) part(slot connector.Slot, b *connector.Bound) (string, error) {
	return slot.AWS.SessionPolicy(b.Resources)
}

// maxSessionName is STS's limit on RoleSessionName: just two UUIDs without their hyphens.
const maxSessionName = 64

// name is the user's id, then the task's, without hyphens: so the user is found again in
// AWS's own records, and nothing is told there of who that is.
func (awsRole) name(i audit.Intent) (string, error) {
	name := strings.ReplaceAll(i.UserID()+i.TaskID(), "-", "")
	if i.UserID() == "" || i.TaskID() == "" || len(name) > maxSessionName || strings.Trim(name, "0123456789abcdef") != "" {
		return "", fault.New(fault.Internal, "internal error", errors.New("a role is assumed for a user and a task with ids of their own"))
	}
	return name, nil
}

func (s awsRole) buy(ctx context.Context, p purchase) (bought, error) {
	key, err := sigv4.ParseKey(p.secret.Reveal())
	if err != nil {
		return bought{}, err
	}
	session, err := s.sts.AssumeRole(ctx, sts.Request{
		Workspace: p.bound.Connector.Workspace, Connector: p.bound.Connector.Name,
		AWS: p.slot.AWS, Key: key, Name: p.name, Policy: p.part,
	})
	if err != nil {
		return bought{}, stsFault(p, err)
	}
	return bought{session.Key.Text(), session.Life}, nil
}

// stsFault is the error for a caller whose role was not assumed. No upstream was called.
func stsFault(p purchase, err error) error {
	c, slot := p.bound.Connector, p.slot
	var e *sts.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case sts.Refused:
		code := ""
		if e.Code != "" {
			code = " (" + e.Code + ")"
		}
		return unusable(c, slot, mendPut, "AWS refuses the role"+code+"; put another key, or mend the role's trust policy or the manifest", err)
	case sts.TooMuch:
		return fault.Invalid("arguments", "name so many resources that AWS does not take a session policy for them: make several calls")
	case sts.Unavailable, sts.Unclear:
	}
	return fault.New(fault.UpstreamUnavailable, "connector "+c.Name+": AWS's STS cannot be had now"+onTheWay(err)+"; nothing was sent to the upstream", err).
		With("connector", c.Name)
}
