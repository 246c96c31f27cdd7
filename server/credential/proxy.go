package credential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

// How a broker proves itself to a proxy.
const (
	ProxyBasic  = "basic"  // RFC 7617; the secret is user:password
	ProxyBearer = "bearer" // RFC 6750
)

// Proxy is a proxy whose secret is kept among the credentials of a workspace.
type Proxy struct {
	Workspace, Name string
	// URL is where it listens, and for where alone the secret was put.
	URL string
	// Kind is ProxyBasic or ProxyBearer.
	Kind string
}

// proxyPlace begins the place of a proxy's secret: no connector can be named so.
const proxyPlace = "proxy/"

// IsProxyPlace says whether what stands in a connector's place is a proxy.
func IsProxyPlace(name string) bool { return strings.HasPrefix(name, proxyPlace) }

func (p Proxy) place() Place {
	return Place{Workspace: p.Workspace, Connector: proxyPlace + p.Name, Slot: connector.DefaultSlot}
}

// destination binds the secret to the proxy's address, so that whoever can edit the
// configuration cannot have it sent elsewhere.
func (p Proxy) destination() (string, error) {
	text, err := json.Marshal(struct {
		Proxy string `json:"proxy"`
		URL   string `json:"url"`
		Kind  string `json:"kind"`
	}{p.Name, p.URL, p.Kind})
	return string(text), err
}

func (p Proxy) fits(r Record) bool {
	want, err := p.destination()
	return err == nil && r.Destination == want && r.Kind == p.Kind
}

// proxyAt finds the proxy whose secret stands at a place.
func (k *Keeper) proxyAt(workspace, place string) (Proxy, bool) {
	i := slices.IndexFunc(k.o.Proxies, func(p Proxy) bool { return p.Workspace == workspace && p.place().Connector == place })
	if i < 0 {
		return Proxy{}, false
	}
	return k.o.Proxies[i], true
}

// FitsProxy says whether a record at a proxy's place is what the proxy wants.
func (k *Keeper) FitsProxy(r Record) bool {
	p, ok := k.proxyAt(r.Workspace, r.Connector)
	return ok && p.fits(r)
}

// PutProxy seals the secret of the proxy at a place of the workspace.
func (k *Keeper) PutProxy(ctx context.Context, workspace, place string, secret vault.Secret, by string) (Record, error) {
	p, ok := k.proxyAt(workspace, place)
	if !ok {
		return Record{}, fault.New(fault.ConnectorUnknown, "no proxy of this name in the broker's egress.proxies has its secret in this workspace", nil).With("mend", "proxies")
	}
	check := bearer{}.check
	if p.Kind == ProxyBasic {
		check = basic{}.check
	}
	if err := check(string(secret.Reveal())); err != nil {
		return Record{}, fault.Invalid("secret", err.Error())
	}
	dest, err := p.destination()
	if err != nil {
		return Record{}, err
	}
	at := p.place()
	return k.keep(ctx, Record{
		Workspace: at.Workspace, Connector: at.Connector, Slot: at.Slot, Kind: p.Kind, Destination: dest, Origins: []string{p.URL}, CreatedBy: by,
	}, secret)
}

// ProxySecret is for egress.ProxySecrets. It is opened for calls that were decided and
// recorded: a proxy is asked for nothing else.
func (k *Keeper) ProxySecret(ctx context.Context, name string) (egress.Attachment, string, error) {
	i := slices.IndexFunc(k.o.Proxies, func(p Proxy) bool { return p.Name == name })
	if i < 0 {
		return egress.Attachment{}, "", egress.ErrNoProxySecret
	}
	p := k.o.Proxies[i]
	place := p.place()
	r, err := k.o.Records.Get(ctx, place, func(ctx context.Context) (Record, error) {
		return k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && !p.fits(r) {
		return egress.Attachment{}, "", egress.ErrNoProxySecret
	}
	if err != nil {
		return egress.Attachment{}, "", err
	}
	v := Version{Workspace: place.Workspace, Connector: place.Connector, Credentials: labelOf(r) + ","}
	a, err := k.o.Opened.Get(ctx, v, func(ctx context.Context) (egress.Attachment, error) { return k.renderProxy(ctx, p, r) })
	return a, v.Credentials, err
}

func (k *Keeper) renderProxy(ctx context.Context, p Proxy, r Record) (egress.Attachment, error) {
	secret, err := k.open(ctx, r)
	if err != nil {
		return egress.Attachment{}, err
	}
	text := string(secret.Reveal())
	value, forms := "Bearer "+text, [][]byte{[]byte(text)}
	if p.Kind == ProxyBasic {
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
		forms = append(forms, basic{}.derived(connector.Slot{}, text)...)
	}
	a := egress.NewAttachment()
	if err := a.SetHeader("Proxy-Authorization", value); err != nil {
		return egress.Attachment{}, fmt.Errorf("proxy %s: %w", p.Name, err)
	}
	return a, a.Use(egress.NewScrubber(forms...))
}
