package api

import (
	"crypto/sha256"
	"encoding/hex"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// targets names what an administrative act acts on, for its record: never a secret,
// never a manifest's text.
func targets(request any) []string {
	switch r := request.(type) {
	case *onedoorv1.TasksCreateRequest:
		return append([]string{"agent:" + r.GetAgent(), "user:" + r.GetUser(), "sandbox:" + r.GetSandbox()}, r.GetGrants()...)
	case *onedoorv1.TasksRevokeRequest:
		return []string{"task:" + r.GetTaskId()}
	case *onedoorv1.ConnectorsApplyRequest:
		return []string{"manifest:" + digestOf(r.GetManifest())}
	case *onedoorv1.ConnectorsDeleteRequest:
		return []string{"connector:" + r.GetName()}
	case *onedoorv1.CredentialsPutRequest:
		return []string{"connector:" + r.GetConnector(), "slot:" + r.GetSlot(), "user:" + r.GetUser()}
	case *onedoorv1.CredentialsDeleteRequest:
		return []string{"credential:" + r.GetCredentialId()}
	case *onedoorv1.KeysRotateRequest:
		return []string{r.GetPurpose().String()}
	}
	return nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
