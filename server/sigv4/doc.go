// Package sigv4 signs requests for AWS (Signature Version 4).
//
//	Key ── ParseKey of ID:SECRET[:TOKEN]
//	Signer ── egress calls it last ──▶ Authorization, X-Amz-Date, and what goes along
//
// Signed are the method, the path, the query, the body, and those headers that AWS
// wants signed: Host, Content-Type, Content-Md5 and X-Amz-*. The others may be changed
// on the way by whoever passes the request on, and say nothing of what it does.
//
// Query parameters are put in order as they are encoded. Go's SDK orders them as they
// are decoded, and so signs some lists of values otherwise than AWS reads them.
package sigv4
