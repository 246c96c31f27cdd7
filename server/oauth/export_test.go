package oauth

import "time"

// Read is what an answer of status 200 means, for the fuzzer.
func Read(body []byte) (Token, error) { return readToken(body) }

// Refusal is what an answer of another status means, for the fuzzer.
func Refusal(status int, header map[string][]string, body []byte, now time.Time) *Error {
	return refusal(status, header, body, now)
}
