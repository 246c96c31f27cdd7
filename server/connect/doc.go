// Package connect leads a user's browser from a link to a connected account, without
// knowing HTTP. An operator chooses what is connected and whose it will be; the browser
// chooses nothing.
//
//	Offer ─▶ link ─ Look (changes nothing) ─ Begin ─┬───────────────────────────┐
//	                     consumes the link, binds   │ the user's issuer         │ no issuer to ask:
//	                     the run to this browser    ▼                           │ development alone
//	                                     sign in, ID token = this user          │
//	                                                │                           ▼
//	                                                └─▶ the connector's provider ─▶ tokens stored
//
// Each arrow back comes to Answer, which takes nothing but what a state of its own stands
// for, from the browser to which the run is bound, at the step at which it is, once. All
// that is refused there is refused before a code is sent anywhere. The steps stand in the
// store, so that any broker can take the next one.
//
// What the browser is given is random; the store holds keyed hashes of it. The PKCE
// verifier (RFC 7636) stands nowhere: it is derived from the browser's cookie, the state
// and the pepper, so neither the store nor the browser alone has it, and what another
// browser brings cannot be exchanged even where every check before failed.
//
// Whose rules: RFC 6749, 7636, 9207 and 9700; OpenID Connect Core 1.0.
package connect
