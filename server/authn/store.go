package authn

import (
	"context"

	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// Found is a task, its grants and the digest under which its key is stored.
type Found struct {
	Task      task.Task
	Grants    []grant.Grant
	KeyDigest []byte
}

// Tasks finds a task by its key's digest: the one look-up that does not begin with a
// workspace, since the key is what says which. store.ErrNotFound.
type Tasks interface {
	TaskByKey(ctx context.Context, digests [][]byte) (Found, error)
}
