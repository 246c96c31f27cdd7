package oauth

import "time"

// Read is readToken, and Refusal what an answer of another status means, for the fuzzer.
func Read(body []byte) (Token, error) { return readToken(body) }

// Refusal is refusal.
func Refusal(status int, header map[string][]string, body []byte, now time.Time) *Error {
	return refusal(status, header, body, now)
}
