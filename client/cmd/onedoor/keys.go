package main

import (
	"context"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the broker's keys, without their material."`
	Rotate keysRotateCmd `cmd:"" help:"Make a new key for one purpose."`
}

type keysListCmd struct{}

func (keysListCmd) Help() string {
	return `STATE is pending until every broker has loaded a key, then active, then retired: still readable.

  onedoor keys list`
}

// Run implements the command.
func (keysListCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Keys().List(ctx, &onedoorv1.KeysListRequest{})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { keyRows(t, answer.GetKeys()...) })
	})
}

type keysRotateCmd struct {
	Purpose   string `arg:"" enum:"kek,pepper,audit,assertion" help:"kek (wraps credentials), pepper (hashes task keys), audit (signs the trail) or assertion (signs who the user is)."`
	Emergency bool   `help:"For assertion: the key that stands by signs at once, and the old one is deleted. Calls under way may be refused by their upstream."`
}

func (keysRotateCmd) Help() string {
	return "The new key is used as soon as every live broker has loaded it. The old one stays readable, and no call fails.\n\n" +
		"For assertion, a published key always stands by, and signs from now on; the old one stays published for a day. " +
		"If a key was stolen, do not wait: --emergency.\n\n" +
		"  onedoor keys rotate kek\n  onedoor keys rotate assertion --emergency"
}

// Run implements the command.
func (c *keysRotateCmd) Run(s *session) error {
	purpose := map[string]onedoorv1.KeyPurpose{
		"kek":       onedoorv1.KeyPurpose_KEY_PURPOSE_KEK,
		"pepper":    onedoorv1.KeyPurpose_KEY_PURPOSE_PEPPER,
		"audit":     onedoorv1.KeyPurpose_KEY_PURPOSE_AUDIT,
		"assertion": onedoorv1.KeyPurpose_KEY_PURPOSE_ASSERTION,
	}[c.Purpose]
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Keys().Rotate(ctx, &onedoorv1.KeysRotateRequest{Purpose: purpose, Emergency: c.Emergency})
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) { keyRows(t, answer.GetKey()) })
	})
}

func keyRows(t *table, keys ...*onedoorv1.Key) {
	t.row("ID", "PURPOSE", "STATE", "CREATED", "ACTIVATED")
	for _, k := range keys {
		t.row(k.GetId(), enum(k.GetPurpose(), "KEY_PURPOSE_"), enum(k.GetState(), "KEY_STATE_"),
			moment(k.GetCreatedAt()), moment(k.GetActivatedAt()))
	}
}
