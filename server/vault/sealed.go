package vault

// Sealed is an envelope: the payload under a data key (DEK) of its own, and that key
// wrapped by a key encryption key (KEK). The two stand in separate columns, so that
// rotation rewraps the DEK and leaves the payload alone.
type Sealed struct {
	KEKID      string
	WrappedDEK []byte
	Ciphertext []byte
}

// Binding is what a sealed secret is bound to: moved to another row, version or
// destination it does not open.
type Binding struct {
	Workspace    string
	CredentialID string
	Kind         string
	Version      int64
	// Destination is what the secret may be sent to and how it is attached.
	Destination string
}
