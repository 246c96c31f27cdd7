// Package vault keeps other people's secrets sealed and Onedoor's own keys wrapped.
//
//	master key: a KMS, or a local file of mode 0600
//	 └─ wraps each key of the keyring, bound to (purpose, id); rows of the store
//	     ├─ kek      XAES-256-GCM  wraps data keys, bound to (workspace, credential, KEK)
//	     │   └─ DEK  AES-256-GCM   seals one secret once, bound to the whole Binding
//	     ├─ pepper   HMAC-SHA-256  digests task keys
//	     ├─ audit    Ed25519       signs the audit trail
//	     └─ assertion  ES256       signs assertions; its id is its thumbprint
//
// The master key is asked when a key is made or loaded for the first time, never on the
// path of a call: a KMS that is down stops a start and a rotation, not the traffic.
//
// # What memory still holds
//
// Data keys are overwritten as soon as they have been used, and a Secret cannot be
// printed. More than that Go does not allow: the collector may have copied a slice
// while its stack grew, the cipher keeps its own key schedule and Tink its own copy of
// the key, a header value is an immutable string, and nothing can be pinned against
// swapping without leaving the language. A Secret lives until the collector takes it.
// Whoever can read the process's memory can read the keys in use; package harden only
// closes the ordinary ways there, core dumps and tracing by the same user.
package vault
