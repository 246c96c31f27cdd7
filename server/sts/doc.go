// Package sts assumes roles of AWS: a stored key buys one that lives for minutes, and may
// do no more than a session policy says.
//
//	Request ─ form, signed (package sigv4) ─ egress ─┬─▶ Session
//	                                                 └─▶ *Error
//
// A request is sent once; to send it again does no harm. Nothing that STS wrote is ever
// in an error but a code that is known beforehand.
package sts
