package sts

// What reads answers, for tables and fuzzing.
var (
	ReadSession = readSession
	Refusal     = refusal
)
