package app

import (
	"context"

	"github.com/onedoor/onedoor/server/egress"
)

// proxySecrets are those that the keeper of credentials has. It goes through the App,
// since the keeper itself is made of the door that asks here.
type proxySecrets struct{ app *App }

// ProxySecret implements egress.ProxySecrets.
func (p proxySecrets) ProxySecret(ctx context.Context, proxy string) (egress.Attachment, string, error) {
	return p.app.credentials.ProxySecret(ctx, proxy)
}
