package api

import (
	"context"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
)

type keysServer struct {
	onedoorv1.UnimplementedKeysServer
	s Services
}

func (k *keysServer) List(context.Context, *onedoorv1.KeysListRequest) (*onedoorv1.KeysListResponse, error) {
	out := &onedoorv1.KeysListResponse{}
	for _, key := range k.s.Keys.List() {
		out.Keys = append(out.Keys, keyMessage(key))
	}
	return out, nil
}

func (k *keysServer) Rotate(ctx context.Context, in *onedoorv1.KeysRotateRequest) (*onedoorv1.KeysRotateResponse, error) {
	purpose, ok := purposeOf(in.GetPurpose())
	if !ok {
		return nil, fault.Invalid("purpose", "want KEY_PURPOSE_KEK, KEY_PURPOSE_PEPPER, KEY_PURPOSE_AUDIT or KEY_PURPOSE_ASSERTION")
	}
	if in.GetEmergency() && purpose != vault.Assertion {
		return nil, fault.Invalid("emergency", "is for KEY_PURPOSE_ASSERTION alone: what another key sealed or signed would be lost with it")
	}
	rotate := func() (vault.WrappedKey, error) { return k.s.Keys.Rotate(ctx, purpose) }
	if in.GetEmergency() {
		rotate = func() (vault.WrappedKey, error) { return k.s.Keys.ReplaceAssertion(ctx) }
	}
	key, err := rotate()
	if err != nil {
		return nil, err
	}
	return &onedoorv1.KeysRotateResponse{Key: keyMessage(key)}, nil
}

func purposeOf(p onedoorv1.KeyPurpose) (vault.Purpose, bool) {
	switch p {
	case onedoorv1.KeyPurpose_KEY_PURPOSE_KEK:
		return vault.KEK, true
	case onedoorv1.KeyPurpose_KEY_PURPOSE_PEPPER:
		return vault.Pepper, true
	case onedoorv1.KeyPurpose_KEY_PURPOSE_AUDIT:
		return vault.Audit, true
	case onedoorv1.KeyPurpose_KEY_PURPOSE_ASSERTION:
		return vault.Assertion, true
	}
	return "", false
}
