package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// micros is how a time is stored: microseconds since 1970 in UTC, with 0 for the
// zero time. Finer parts are cut off.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// list is how a list of texts is stored: a JSON array, "[]" for an empty one.
func list(texts []string) (string, error) {
	if len(texts) == 0 {
		return "[]", nil
	}
	for _, s := range texts {
		// json.Marshal would replace what is not UTF-8, and store another text.
		if err := checkText(s); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(texts)
	if err != nil {
		return "", fmt.Errorf("list: %w", err)
	}
	return string(b), nil
}

// fromList gives nil for an empty list.
func fromList(text string) ([]string, error) {
	var texts []string
	if err := fromJSON(text, &texts); err != nil || len(texts) == 0 {
		return nil, err
	}
	return texts, nil
}

// fromJSON reads what was stored as JSON. Its error does not repeat the text.
func fromJSON(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return &failure{text: "a stored JSON value cannot be read"}
	}
	return nil
}

var errText = errors.New("a text is not UTF-8 or holds a NUL character")

// checkText refuses what PostgreSQL cannot store as TEXT, so that every database
// refuses the same.
func checkText(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return errText
	}
	return nil
}

// checkArgs checks every text among the arguments of a statement.
func checkArgs(args []any) error {
	for _, a := range args {
		if s, ok := a.(string); ok {
			if err := checkText(s); err != nil {
				return err
			}
		}
	}
	return nil
}
