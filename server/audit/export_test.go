package audit

// Waiting is how many entries stand before the writer.
func Waiting(l *Log) int { return len(l.intake) }

// Behind is how many outcomes wait to be written.
func Behind(l *Log) int { return l.behind.len() }

// Normal makes e what the store gives back.
func Normal(e Event) Event {
	e.normal()
	return e
}

// MaxRefusalKeys is how many strangers are told apart.
const MaxRefusalKeys = maxRefusalKeys
