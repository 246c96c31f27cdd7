package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/mint"
)

// targets names what an administrative act acts on, for its record: never a secret,
// never a manifest's text.
func targets(request any) []string {
	switch r := request.(type) {
	case *onedoorv1.TasksCreateRequest:
		// Whom a token names is not known before it is verified: the outcome's row says it.
		user := "user by id token"
		if r.GetIdToken() == "" {
			user = userTarget(r.GetUser(), "asserted")
		}
		return append([]string{"agent:" + r.GetAgent(), user, "sandbox:" + r.GetSandbox()}, r.GetGrants()...)
	case *onedoorv1.DelegateTaskRequest:
		return append([]string{"agent:" + r.GetAgent(), "sandbox:" + r.GetSandbox()}, bounded(r.GetGrants(), mint.MaxDelegated)...)
	case *onedoorv1.EndDelegatedTaskRequest:
		return []string{"task:" + r.GetTaskId()}
	case *onedoorv1.TasksRevokeRequest:
		return []string{"task:" + r.GetTaskId()}
	case *onedoorv1.ConnectorsApplyRequest:
		return manifestTargets(r.GetManifest())
	case *onedoorv1.ConnectorsDeleteRequest:
		return []string{"connector:" + r.GetName()}
	case *onedoorv1.CredentialsPutRequest:
		list := slotTargets(r)
		if r.GetUser() != "" {
			return append(list, userTarget(r.GetUser(), issuerOf(r)))
		}
		return append(list, "workspace")
	case *onedoorv1.CredentialsConnectRequest:
		return append(slotTargets(r), userTarget(r.GetUser(), issuerOf(r)))
	case *onedoorv1.CredentialsDeleteRequest:
		return []string{"credential:" + r.GetCredentialId()}
	case *onedoorv1.KeysRotateRequest:
		if r.GetEmergency() {
			return []string{r.GetPurpose().String(), "emergency"}
		}
		return []string{r.GetPurpose().String()}
	}
	return nil
}

// bounded keeps the first of the texts that come to no more than most bytes together, and
// says how many there were beyond: a sandbox must not fill the trail with what is refused.
func bounded(texts []string, most int) []string {
	for i, text := range texts {
		if most -= len(text); most < 0 {
			return append(slices.Clone(texts[:i]), fmt.Sprintf("and %d grants more", len(texts)-i))
		}
	}
	return texts
}

// slotTargets names a connector, and the slot where one is given.
func slotTargets(r interface {
	GetConnector() string
	GetSlot() string
}) []string {
	list := []string{"connector:" + r.GetConnector()}
	if r.GetSlot() != "" {
		list = append(list, "slot:"+r.GetSlot())
	}
	return list
}

// userTarget names a user and who vouches for them.
func userTarget(subject, by string) string { return "user:" + subject + " (" + by + ")" }

// manifestTargets names the connector where the manifest can be read, and the text by
// its digest in any case.
func manifestTargets(text string) []string {
	sum := sha256.Sum256([]byte(text))
	list := []string{"manifest:" + hex.EncodeToString(sum[:])}
	if c, err := connector.Parse([]byte(text)); err == nil {
		list = append([]string{"connector:" + c.Name}, list...)
	}
	return list
}
