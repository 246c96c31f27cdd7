// Package broker is the path of one call, statement after statement. It knows no
// transport: api hands it a Call with a verified caller, and it hands back an Answer
// or a fault with its reason.
//
//	a. connector   the tool, its arguments, the request that goes upstream
//	b. grant       does one grant cover all of it?
//	   credential  is what must be attached there? (sealed; nothing is opened)
//	c. audit       the intent, durable, limits reserved
//	d. credential  opened and rendered: demands the intent
//	   assertion   who the user is, signed, where the connector asks: demands it too
//	e. upstream    the only outbound call: demands the intent
//	f. audit       the answer settled against its limits, the outcome recorded
//
// The leaves never call each other, and every refusal goes through one function.
package broker
